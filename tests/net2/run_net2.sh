#!/bin/bash
# tests/net2/run_net2.sh BERTH RAW_STATIC RAW_INLINE COUNTS DROP NOSECCOMP [CASE]: whole programs that go past libc.
#
# Each case reports under its own name; a program that is not installed skips its case and is named.
set -u
berth=$(realpath "$1") raw=$(realpath "$2") raw_inline=$(realpath "$3") counts=$(realpath "$4") drop=$(realpath "$5") noseccomp=$(realpath "$6")
only=${7:-}
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d) || exit 1
chmod 755 "$work"
export BERTH_DIR=$work/b
unset http_proxy https_proxy HTTP_PROXY no_proxy NO_PROXY LD_PRELOAD BERTH_HOST BERTH_RUN BERTH_NETWORK_DIR
failed=0
pids=
# A run's keeper ends with its last program; what a case leaves is ended by pid.
cleanup() {
	for p in $pids; do kill -9 "$p" 2>/dev/null; done
	rm -rf "$work"
}
trap cleanup EXIT
run() { timeout 30 "$berth" run "$@"; }
# In the background; its pid is $last.
start() {
	"$berth" run "$@" &
	last=$!
	pids="$pids $last"
}
ends_with() { # pid status
	wait "$1"
	local st=$?
	[ $st = "$2" ] || { echo "ended with $st"; return 1; }
}
addr() { "$berth" net show | awk -v h="$1" '$1 == h { print $2 }'; }
# up HOST PORT: until somebody listens there
up() {
	for _ in $(seq 200); do
		"$berth" who -H "$1" "$2" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}
case_() {
	[ -z "$only" ] || [[ $1 == *"$only"* ]] || return 0
	: >"$work/log"
	if "$2" >"$work/log" 2>&1; then echo "ok: $1"
	elif [ $? = 77 ]; then echo "skip: $1: $(tail -n 1 "$work/log")"
	else
		echo "FAIL: $1"
		sed 's/^/    /' "$work/log"
		failed=1
	fi
}
# The programs that become another user must still reach berth: a tree in /root is copied to where all may read.
for_everybody() {
	[ "$(id -u)" = 0 ] && command -v setpriv >/dev/null 2>&1 || return 0
	setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$berth" && return 0
	mkdir -p "$work/tree/src/cli" "$work/tree/src/shim"
	cp "$berth" "$work/tree/src/cli/" && cp "$(dirname "$berth")/../shim/libberth.so" "$work/tree/src/shim/" &&
		berth=$work/tree/src/cli/berth
}
for_everybody
needs() { command -v "$1" >/dev/null 2>&1 || { echo "needs package $2"; return 77; }; }
root() { [ "$(id -u)" = 0 ] || { echo "needs root"; return 77; }; }

static_server() {
	needs curl curl || return 77
	start -H web -- "$raw" serve 80 "from a static server"
	up web 80 || return 1
	[ "$(run -H cli -- curl -s http://web/)" = "from a static server" ] || return 1
	run -H cli -- "$raw" fetch "$(addr web)" 80 | grep -q "from a static server" || return 1
	"$berth" ls -H web | grep -q raw_static || return 1
	run -H web -- "$raw" serve 80 no 2>&1 | grep -q "was refused 80/tcp" || return 1
	kill $last && ends_with $last 143 || return 1
	! "$berth" who -H web 80
}
few_descriptors() {
	(ulimit -n 40 && timeout 20 "$berth" run -q -H crowd -- "$raw" crowd 100)
}
says_so() {
	run --verbose -- "$raw" "options" 2>"$work/err" || return 1
	grep -q "is statically linked: served by the second net" "$work/err" || return 1
	run --verbose -- "$raw_inline" "options" 2>"$work/err" || return 1
	grep -q "calls the kernel past libc: served" "$work/err" || return 1
	run -- "$raw_inline" "options" 2>"$work/err" || return 1
	[ ! -s "$work/err" ]
}
busybox_web() {
	needs busybox busybox-static || return 77
	busybox --list | grep -qx httpd || { echo "needs package busybox-static"; return 77; }
	echo from busybox >"$work/index.html"
	start -H bb -- busybox httpd -f -p 80 -h "$work"
	up bb 80 || return 1
	[ "$(run -H cli -- busybox wget -q -O- "http://$(addr bb)/index.html")" = "from busybox" ] || return 1
	kill $last && ends_with $last 143
}
go_web() {
	needs go golang-go || return 77
	needs curl curl || return 77
	(cd "$work" && GOCACHE=${GOCACHE:-$work/gocache} HOME=$work CGO_ENABLED=0 timeout 280 go build -o hello "$here/hello.go") || return 1
	start -H go -- "$work/hello" serve :80
	up go 80 || return 1
	[ "$(run -H cli -- "$work/hello" get "http://$(addr go)/" | grep -c "go serves $(addr cli):")" = 3 ] || return 1
	run -H cli -- curl -s http://go/ | grep -q "go serves $(addr cli):" || return 1
	kill $last && ends_with $last 143
}
nested() {
	cat >"$work/nested.sh" <<-END
		"$raw" serve 90 outer & o=\$!
		"$berth" run -n inner -H in -- sh -c '"$raw" serve 90 inner & sleep 0.3; "$raw" fetch 127.0.0.1 90; kill \$!' || exit 1
		"$raw" fetch 127.0.0.1 90
		"$berth" run -n inner -H in -- "$raw" fetch 127.0.0.1 90
		kill \$o
	END
	run -H out -- sh "$work/nested.sh" >"$work/out" 2>&1
	cat "$work/out"
	[ "$(grep -c inner "$work/out")" = 1 ] && [ "$(grep -c outer "$work/out")" = 1 ] &&
		grep -q "fetch: Connection refused" "$work/out"
}
daemons() {
	local t=$SECONDS p
	run -H dae -- sh -c '"$0" serve 80 daemon </dev/null >/dev/null 2>&1 & echo $!' "$raw" >"$work/pid" || return 1
	[ $((SECONDS - t)) -lt 10 ] || return 1
	p=$(cat "$work/pid")
	pids="$pids $p"
	up dae 80 || return 1
	run -H cli -- "$raw" fetch "$(addr dae)" 80 | grep -q daemon || return 1
	local keeper
	keeper=$(awk '$1 == "PPid:" { print $2 }' /proc/"$p"/status)
	grep -q berth-keeper /proc/"$keeper"/comm || return 1
	kill "$p"
	for _ in $(seq 100); do # a keeper that init has not yet waited for is gone, too
		grep -q '^State:.*[RSD] ' /proc/"$keeper"/status 2>/dev/null || return 0
		sleep 0.05
	done
	echo "the keeper $keeper outlives its last program"
	return 1
}
lets_go() { # the keeper of a daemon holds nothing that its starter waits for
	mkfifo "$work/fifo" || return 1
	( exec 7>"$work/fifo"; run -H dae -- sh -c '"$0" serve 81 x </dev/null >/dev/null 2>&1 7>&- & echo $!' "$raw" >"$work/pid" ) &
	timeout 5 cat "$work/fifo" || { echo "somebody holds the pipe"; kill "$(cat "$work/pid")"; return 1; }
	kill "$(cat "$work/pid")"
}
keeper_killed() {
	cat >"$work/killed.sh" <<-END
		"$raw" "SO_RCVTIMEO" || exit 1
		kill -9 \$PPID
		"$raw" "a connection" >"$work/after" && exit 2
		cat "$work/after"
		curl -s -m 5 http://web/; r=\$?; [ \$r = 7 ] || { echo "curl: \$r"; exit 3; }
		exit 9
	END
	needs curl curl || return 77
	run -H web -- true
	run -H kil -- sh "$work/killed.sh"
	[ $? = 9 ]
}
itself() { # a folder of its own: its keeper is killed in the end, and what it leaves is not another's
	needs python3 python3 || return 77
	(export BERTH_DIR=$work/i && run -q -H me -- python3 "$here/itself.py" "$work/i/default")
}
itself_elsewhere() { # in another network namespace an abstract name would not be found
	unshare -rn true 2>/dev/null || { echo "no right to make a network namespace"; return 77; }
	run -q -H me -- unshare -rn "$raw" "connected to itself"
}
killed_at_once() { # before it has told that the command runs
	for _ in $(seq 25); do
		run -q -H kil -- sh -c 'kill -9 $PPID; sleep 0.05; exit 9'
		ends=$?
		[ $ends = 9 ] || { echo "ended with $ends"; return 1; }
	done
}
waiting_when_killed() { # a call that waits in a keeper that dies fails; it does not hang
	cat >"$work/killed.sh" <<-END
		"$raw" serve 80 x & s=\$!
		sleep 0.3
		kill -9 \$PPID
		wait \$s
		exit \$((\$? + 40))
	END
	run -H kil -- sh "$work/killed.sh"
	[ $? = 41 ]
}
dropped() {
	root || return 77
	run -H other -- true
	mkdir -p "$work/root/etc"
	run -H drop -- "$drop" setuid | grep "served as user 65534" || return 1
	run -H drop -- "$drop" early | grep "served as user 65534" || return 1
	cp "$drop" "$work/drop" && chmod 755 "$work/drop"
	run -H drop -- "$work/drop" exec "$work/drop" | grep "served as user 65534" || return 1
	run -H drop -- "$drop" chroot "$work/root" | grep "served as user 65534"
}
nginx_drops() {
	root || return 77
	needs nginx nginx || return 77
	needs curl curl || return 77
	mkdir -p "$work/ng"
	cat >"$work/ng/nginx.conf" <<-END
		user nobody nogroup;
		worker_processes 2;
		daemon off;
		error_log $work/ng/error.log;
		pid $work/ng/pid;
		events {}
		http {
			access_log off;
			client_body_temp_path $work/ng/a; proxy_temp_path $work/ng/b; fastcgi_temp_path $work/ng/c;
			uwsgi_temp_path $work/ng/d; scgi_temp_path $work/ng/e;
			server { listen 80; location / { proxy_pass http://127.0.0.1:81; } }
			server { listen 127.0.0.1:81; location / { return 200 "proxied\n"; } }
		}
	END
	start -H ng -- nginx -c "$work/ng/nginx.conf" -e "$work/ng/error.log" -p "$work/ng"
	up ng 80 || { cat "$work/ng/error.log"; return 1; }
	for _ in 1 2 3; do [ "$(run -H cli -- curl -s http://ng/)" = proxied ] || { cat "$work/ng/error.log"; return 1; }; done
	kill -QUIT $last
	ends_with $last 0
}
never_held_up() { # programs that the library is in never wait for the supervisor
	needs nginx nginx || return 77
	needs curl curl || return 77
	mkdir -p "$work/nn"
	cat >"$work/nn/nginx.conf" <<-END
		$([ "$(id -u)" != 0 ] || echo "user root;")
		worker_processes 2;
		error_log $work/nn/error.log;
		pid $work/nn/pid;
		events {}
		http { access_log off;
			client_body_temp_path $work/nn/a; proxy_temp_path $work/nn/b; fastcgi_temp_path $work/nn/c;
			uwsgi_temp_path $work/nn/d; scgi_temp_path $work/nn/e;
			server { listen 80; location / { return 200 "hello\n"; } } }
	END
	cat >"$work/nn/go.sh" <<-END
		nginx -c "$work/nn/nginx.conf" -e "$work/nn/error.log" -p "$work/nn" || exit 1
		for i in 1 2 3 4 5; do curl -s http://127.0.0.1/ || exit 1; done
		"$counts"
		kill \$(cat "$work/nn/pid")
	END
	run -H nn -- sh "$work/nn/go.sh" >"$work/out" 2>&1
	cat "$work/out"
	[ "$(grep -c hello "$work/out")" = 5 ] && grep -q "^0 0 [01]$" "$work/out"
}
plain_user() {
	root || return 77
	needs setpriv util-linux || return 77
	local u=$work/user
	mkdir -m 700 -p "$u" && chown 65534:65534 "$u"
	cp "$raw" "$u/raw" && cp "$berth" "$u/" 2>/dev/null
	chmod 4755 "$u/raw" # setuid of the user itself: nothing to lose
	as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups env BERTH_DIR="$u/b" HOME="$u" "$@"; }
	as_user timeout 60 "$berth" run -q -H u -- "$u/raw" || return 1
	install -m 4755 -o 0 "$raw" "$work/setuid"
	as_user "$berth" run -H u -- "$work/setuid" options 2>"$work/err" || { cat "$work/err"; return 1; }
	grep -q "$work/setuid runs with more rights than you have.*no_new_privs" "$work/err"
}
no_net() { # a machine without: what needs it is refused, what does not runs, and each is said
	local how what
	for how in "" -l; do
		"$noseccomp" $how "$berth" run -- /bin/echo out >"$work/out" 2>"$work/err" || return 1
		grep -qx out "$work/out" && [ "$(wc -l <"$work/err")" = 1 ] || { cat "$work/err"; return 1; }
		grep -q "no second net (.*): what calls the kernel past libc uses the machine's own network" "$work/err" || return 1
		"$noseccomp" $how "$berth" run -- "$raw" options >"$work/out" 2>"$work/err"
		[ $? = 125 ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" = 1 ] || { cat "$work/err"; return 1; }
		grep -q "$raw.*(--allow-outside runs it" "$work/err" || { cat "$work/err"; return 1; }
		"$noseccomp" $how "$berth" run -q --allow-outside -- "$raw" options >"$work/out" || return 1
		"$noseccomp" $how "$berth" doctor >"$work/out"
		[ $? = 1 ] || [ "$how" = -l ] || return 1
	done
}
foreign() {
	printf '\177ELF\001\001\001\000%.0s' 1 >"$work/i386"
	printf '\0\0\0\0\0\0\0\0\002\0\003\0\001\0\0\0%0100d' 0 >>"$work/i386"
	chmod 755 "$work/i386"
	run -- "$work/i386" 2>"$work/err"
	[ $? = 125 ] && grep -q "$work/i386 is for another architecture; it would use the machine's own network" "$work/err"
}

delivery() { # a claim says how what comes gets to it
	start -q -H deliver -- "$raw" hold 53
	local held=$last
	up deliver 53/udp || return 1
	"$berth" who -H deliver 53/tcp --json >"$work/out" && grep -q '"delivery": "path"' "$work/out" || return 1
	"$berth" who -H deliver 53/udp --json >"$work/out" && grep -q '"delivery": "pumped"' "$work/out" || { cat "$work/out"; return 1; }
	"$berth" ls -H deliver --json >"$work/out" && [ "$(grep -c '"delivery": "p' "$work/out")" = 2 ] || return 1
	"$berth" who -H deliver 53/udp | grep -q 'delivery by its berth-keeper' || return 1
	"$berth" who -H deliver 53/tcp | grep -q 'delivery' && return 1
	run -H deliver -- bash -c 'exec 5<>/dev/udp/127.0.0.1/9; "$0" ls -a -H deliver --json; exec 6<>/dev/tcp/127.0.0.1/53' "$berth" >"$work/out"
	ends_with "$held" 0 && grep -q '"delivery": "mailbox"' "$work/out"
}

case_ "a static server, a client with the library, and one without" static_server
case_ "who is served is said to who asks" says_so
case_ "a claim says how it is delivered" delivery
case_ "busybox httpd and wget" busybox_web
case_ "a run inside a run has its own network" nested
case_ "a command that leaves a daemon behind" daemons
case_ "a daemon's keeper holds no pipe of its starter" lets_go
case_ "the keeper is killed: calls fail, the command goes on" keeper_killed
case_ "the keeper is killed at once" killed_at_once
case_ "the keeper is killed while a call waits" waiting_when_killed
case_ "sockets connected to themselves: none is lost or leaked" itself
case_ "a socket connected to itself in another network namespace" itself_elsewhere
case_ "a keeper with few descriptors serves many threads" few_descriptors
case_ "root becomes nobody, changes its root, executes" dropped
case_ "nginx as root with workers as nobody" nginx_drops
case_ "nginx and curl are never held up" never_held_up
case_ "a user without privileges" plain_user
case_ "a machine without a second net" no_net
case_ "a program of another architecture is refused" foreign
case_ "a Go web server and client" go_web
exit $failed
