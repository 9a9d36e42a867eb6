#!/bin/sh
# tests/cli/golden.sh BERTH HOLDER GOLDEN_DIR: what every command says, held to files people can read.
#
# Each `golden NAME COMMAND...` runs a command and compares its output and exit code with
# GOLDEN_DIR/NAME.txt, after pids, ages, users and paths have become words. UPDATE=1 writes the files:
# then read the difference, it is what people will see.
set -u
berth=$(realpath "$1") holder=$(realpath "$2") golden=$(realpath "$3")
export LC_ALL=C TERM=dumb
unset NO_COLOR BERTH_HOST BERTH_RUN BERTH_NETWORK_DIR http_proxy https_proxy no_proxy NO_PROXY LD_PRELOAD
work=$(mktemp -d) || exit 1
export BERTH_DIR="$work/berth"
me=$(id -un)
failed=0 n=0 holders=
cleanup() {
	exec 9>&-
	for p in $holders; do wait "$p" 2>/dev/null; done
	rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit 1
# The machine's own ports are those of a machine that has none, but where a case brings one.
mkdir -p "$work/machine/proc/net" && : >"$work/machine/proc/net/tcp" && : >"$work/machine/proc/net/udp"
export BERTH_MACHINE_ROOT="$work/machine"
mkfifo "$work/stdin"
exec 9<>"$work/stdin" # what the holders read from: they end when we close it

normal() {
	sed -E -e 's/user root/user USER/' -e 's/"user": "root"/"user": "USER"/' -e 's/^(  stop     |    "stop": ")sudo /\1/' -e 's/; root could read them$//' \
		-e 's/started  [0-9-]+ [0-9:]+ \([0-9]+ (s|min|h|days?) ago\)/started  WHEN/' -e 's/(root|nobody|-) +([0-9]+ (s|min|h|days?)|-)  /\1  AGE  /' -e 's/USER +AGE  /USER  AGE  /' \
		-e 's/"process_age_s": [0-9.]+/"process_age_s": AGE/' -e 's/"started_unix_s": [0-9]+/"started_unix_s": WHEN/' \
		-e "s#$work#WORK#g" -e "s#$holder#HOLDER#g" -e 's/pid [0-9]+/pid PID/g' -e "s/(user|\"user\": \"?)$me/\1USER/" \
		-e "s/(user )$me/\1USER/g" -e 's/since [0-9]+ (s|min)/since AGE/g' -e 's/"age_s": [0-9.]+/"age_s": AGE/' \
		-e 's/"pid": [0-9]+/"pid": PID/' -e 's/\bkill [0-9]+/kill PID/' -e 's/"(inode|cookie)": [0-9]+/"\1": NUMBER/' -e '/"pids": \[$/{n;s/[0-9]+/PID/;}' -e 's/"uid": [0-9]+/"uid": UID/' \
		-e "s/ +[0-9]+  $me +[0-9]+ (s|min)\$/ PID USER AGE/" -e "s/ +PID  USER +AGE\$/ PID USER AGE/" \
		-e 's/fd[0-9a-f]{2}(:[0-9a-f]{1,4}){2}::/ULA::/g' -e 's/^created    .*/created    WHEN/' \
		-e 's/"created_unix_s": [0-9]+/"created_unix_s": WHEN/' -e 's/[0-9]+ KiB/SIZE KiB/' -e 's/\b1[0-9]{3}(\/tcp on host full)/PORT\1/' \
		-e 's/"table_bytes": [0-9]+/"table_bytes": SIZE/' -e 's/(PROGRAM) +(PID +TIMES)/\1 \2/' -e "s/(python3) +[0-9]+ +([0-9]+) +[0-9]+ (s|min)  /\\1 PID \\2 AGE  /" -e 's/(_unix_s": )[0-9.]+/\1WHEN/' -e 's#"library": ".*"#"library": "PATH"#' -e 's/network format [0-9]+/network format N/'
}

golden() {
	name=$1
	shift
	n=$((n + 1))
	{
		echo "\$ berth $*" | sed "s#$holder#HOLDER#g"
		timeout 30 "$berth" "$@" >"$work/out" 2>"$work/err" </dev/null
		code=$?
		cat "$work/out"
		[ -s "$work/err" ] && sed 's/^/2> /' "$work/err"
		echo "exit $code"
	} | normal >"$work/got"
	if [ "${UPDATE:-}" = 1 ]; then
		cp "$work/got" "$golden/$name.txt"
	elif ! diff -u "$golden/$name.txt" "$work/got"; then
		echo "FAIL $name"
		failed=$((failed + 1))
	fi
}

# expect NAME CONDITION: what no file can hold.
expect() {
	n=$((n + 1))
	if ! eval "$2"; then
		echo "FAIL $1: $2"
		failed=$((failed + 1))
	fi
}

hold() { # hold HOST ADDRESS PORT OPTIONS...: a program that keeps a port until the end
	host=$1
	shift
	"$berth" run -H "$host" -- "$holder" "$@" <"$work/stdin" >"$work/ready" 9>&- &
	holders="$holders $!"
	i=0
	while ! grep -q ready "$work/ready" && [ $i -lt 100 ]; do
		sleep 0.05
		i=$((i + 1))
	done
	: >"$work/ready"
}

# --- before anybody has run anything ---
golden help --help
for c in run exec wait open publish unpublish free ls who why name net doctor version; do golden "help-$c" $c --help; done
for c in run exec wait open publish unpublish free ls who why name net doctor version; do
	expect "help of $c fits 80 columns" "! '$berth' $c --help | grep -q '.\{81\}'"
done
expect "help fits 80 columns" "! '$berth' --help | grep -q '.\{81\}'"

# docs/cli.md has each option of each command, and no other.
in_help() { "$berth" "$1" --help | sed -n '/^Options:/,${s/^  \(-.\), \(--[a-z0-9-]*\).*/\1 \2/p;s/^      \(--[a-z0-9-]*\).*/\1/p;}' | sort; }
in_docs() { sed -n "/^## Commands and options/,/^## Exit/s/^| \`$1\` |//p" "$docs" | grep -o '`-[^`]*`' | tr -d '`' | sort; }
docs=$(dirname "$golden")/../../docs/cli.md
for c in run exec wait open publish unpublish free ls who why name net doctor version; do
	in_help "$c" >"$work/in-help"
	in_docs "$c" >"$work/in-docs"
	expect "options of $c" "[ -s '$work/in-help' ] && diff -u '$work/in-docs' '$work/in-help'"
done
expect "commands in docs/cli.md" "[ \$(sed -n '/^## Commands and options/,/^## Exit/p' '$docs' | grep -c '^| \`') = 14 ]"

golden wrong-verb lst
golden wrong-tool policy
golden wrong-kill kill
golden wrong-order -n lab ls
golden wrong-no-port wait web
golden wrong-option run --quite -- true
golden wrong-letter ls -z
golden wrong-host run -H 'bad_name!' -- true
golden wrong-localhost run -H localhost -- true
golden wrong-nothing run
golden wrong-port who 80:90:1
golden wrong-range who 99999
golden wrong-service who web:postgers/tcp
golden wrong-net net remove lab
golden empty-ls ls
golden empty-ls-json ls --json
golden empty-who who 80
golden empty-why why 8090
golden empty-why-json why 8090 --json
golden empty-why-network why 80 -n default
# The machine's answer, of canned files: address:port, peer, state, timer, uid, inode.
canned() { printf '   0: %s %s %s 00000000:00000000 %s 00000000 %s 0 %s 1 0 100 0 0 10 0\n' "$@"; }
mkdir -p "$work/machine/proc/77/fd"
ln -s 'socket:[4242]' "$work/machine/proc/77/fd/3"
printf 'ng\033inx\n' >"$work/machine/proc/77/comm"
printf '77 (ng\033inx) S 1 77 77 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0 0\n' >"$work/machine/proc/77/stat"
printf 'Name:\tnginx\nUid:\t0\t0\t0\t0\n' >"$work/machine/proc/77/status"
printf 'nginx\0-g\0daemon off;\0' >"$work/machine/proc/77/cmdline"
echo '0::/system.slice/nginx.service' >"$work/machine/proc/77/cgroup"
{
	canned 0100007F:1F90 00000000:0000 0A 00:00000000 65534 4242
	canned 0100007F:1F95 0100007F:C000 06 03:00000FA0 0 0
	canned 0100007F:9C40 08080808:01BB 01 00:00000000 65534 4243
} >"$work/machine/proc/net/tcp"
golden why-machine-listener why 8080
golden why-machine-listener-json why 8080 --json --machine
golden why-machine-from why 8080 --from 10.0.0.7
golden why-machine-time-wait why 8085 --listen
golden why-machine-outgoing why 40000
golden why-machine-free why 10080 -a :: --v6only
golden why-machine-udp why 5353 --udp --reuseaddr
golden why-machine-wrong why 8080 --machine -H web
golden why-machine-port-0 why 0
golden why-machine-port-65536 why 65536
golden why-machine-port-minus why -1
golden why-machine-port-word why http:
golden why-machine-port-typo why htpt
golden why-machine-user why 80 --user nosuchuser
golden why-machine-from-wrong why 80 --from 10.0.0.1:80
golden why-from-network why 80 --from 10.0.0.7 -n default
golden why-command-none why --
golden why-command-not-found why -- nosuchcommand
golden why-command-quiet why -- true
golden why-command-option why --listen -- true
# A refusal within a command, in a network namespace where its port is held; what the machine's units are is left out.
cat >"$work/inside.sh" <<-'END'
	"$HOLDER" 0.0.0.0 8080 listen <"$WORK/stdin" >"$WORK/ready" 9>&- &
	while ! grep -q ready "$WORK/ready"; do sleep 0.05; done
	"$@" >"$WORK/inside.out" 2>"$WORK/inside.err"
	code=$?
	cat "$WORK/inside.out"
	grep -v '^  unit ' "$WORK/inside.err" >&2
	kill $!
	exit $code
END
real_berth=$berth
cat >"$work/berth-inside" <<-END
	#!/bin/sh
	unset BERTH_MACHINE_ROOT
	export HOLDER='$holder' WORK='$work'
	exec unshare $([ "$(id -u)" = 0 ] || echo -r) -n sh '$work/inside.sh' '$berth' "\$@"
END
chmod +x "$work/berth-inside"
if unshare $([ "$(id -u)" = 0 ] || echo -r) -n true 2>/dev/null; then
	berth="$work/berth-inside"
	: >"$work/ready"
	golden why-command-refused why -- "$holder" 0.0.0.0 8080 listen
	: >"$work/ready"
	golden why-command-hops why -- sh -c "'$holder' 127.0.0.1 8080 listen; '$holder' :: 8080 reuseaddr listen; '$holder' 0.0.0.0 8081; exit 3"
	berth=$real_berth
fi
rm -r "$work/machine/proc/77" && : >"$work/machine/proc/net/tcp"
golden empty-net net ls
golden missing-network ls -n nosuch
golden missing-named-host ls -H nosuch

# --- doctor: what it tries is this machine's; the ports are canned ---
golden doctor-wrong doctor all
golden doctor-ports-none doctor ports
sick="$work/sick/proc"
mkdir -p "$sick/net" "$sick/sys/net/ipv4" "$sick/sys/net/core" "$sick/sys/net/netfilter" "$sick/sys/fs" "$sick/700/fd" "$sick/800/fd"
row() { printf '%4u: 0100007F:%04X %s %s 00000000:00000000 00:00000000 00000000     0        0 %s 1 0000000000000000 100 0 0 10 0\n' "$1" "$2" "$3" "$4" "$5"; }
{
	echo '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
	row 0 40000 00000000:0000 0A 7001
	row 1 40010 00000000:0000 0A 8001
	row 2 5432 00000000:0000 0A 7002
	p=40020
	while [ $p -lt 40100 ]; do
		row $p $p 0A00000A:01BB 06 0
		p=$((p + 2))
	done
} >"$sick/net/tcp"
: >"$sick/net/udp"
ln -s 'socket:[7001]' "$sick/700/fd/3" && ln -s 'socket:[7002]' "$sick/700/fd/4" && ln -s 'socket:[8001]' "$sick/800/fd/3"
echo '700 (postgres) S 1 700 700 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0' >"$sick/700/stat"
echo '800 (python3) S 1 800 800 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0' >"$sick/800/stat"
printf 'Name:\tx\nUid:\t0\t0\t0\t0\n' | tee "$sick/700/status" >"$sick/800/status"
echo '0::/system.slice/postgresql.service' >"$sick/700/cgroup"
echo '0::/user.slice/user-1000.slice/session-3.scope' >"$sick/800/cgroup"
printf '40000\t40099\n' >"$sick/sys/net/ipv4/ip_local_port_range"
echo 1024 >"$sick/sys/net/ipv4/ip_unprivileged_port_start"
echo 8080 >"$sick/sys/net/ipv4/ip_local_reserved_ports"
echo 0 >"$sick/sys/net/ipv4/tcp_tw_reuse" && echo 1 >"$sick/sys/net/ipv4/tcp_timestamps" && echo 44 >"$sick/sys/net/ipv4/tcp_max_tw_buckets"
echo 1000 >"$sick/sys/net/ipv4/tcp_max_orphans" && echo '100 200 300' >"$sick/sys/net/ipv4/tcp_mem" && echo 128 >"$sick/sys/net/core/somaxconn"
echo 950 >"$sick/sys/net/netfilter/nf_conntrack_count" && echo 1000 >"$sick/sys/net/netfilter/nf_conntrack_max"
echo '800 0 1000' >"$sick/sys/fs/file-nr"
printf 'TCP: inuse 3 orphan 600 tw 40 alloc 10 mem 280\n' >"$sick/net/sockstat"
printf 'TcpExt: SyncookiesSent ListenOverflows ListenDrops Last\nTcpExt: 1 23 24 5\nIpExt: InNoRoutes\nIpExt: 7\n' >"$sick/net/netstat"
BERTH_MACHINE_ROOT="$work/sick" golden doctor-ports-sick doctor ports
BERTH_MACHINE_ROOT="$work/sick" golden doctor-ports-json doctor ports --json
json_states() { "$berth" doctor --json | sed -n 's/^ *"code": "\(.*\)",/\1/p' | tr '\n' ' '; }
expect 'doctor says the same in JSON' '[ "$("$berth" doctor | tail -n 1 | grep -o "[0-9]*" | awk "{n += \$1} END {print n}")" = "$("$berth" doctor --json | grep -c "\"state\": ")" ]'
expect 'doctor finds no trouble where these tests pass' '"$berth" doctor berth >"$work/doctor" || ! grep "^trouble" "$work/doctor"'
expect 'doctor has its codes, and in their order' '[ "$(json_states)" = "kernel library preload folder second-net pidfd-getfd memory ptrace setuid liveness inet-diag proc apparmor user-namespaces net-namespaces tap io-uring wmem-max rmem-max dgram-queue descriptors memlock range range-used range-half time-wait range-service range-listener backlog somaxconn tw-reuse listen-overflow orphans tcp-memory privileged-ports conntrack machine-files " ]'
expect 'doctor is written about: each code' 'for c in $(json_states); do grep -q "^| \`$c\` |" "$(dirname "$docs")/doctor.md" || { echo "$c"; false; }; done'
expect 'doctor fits 80 columns, but for the lines that mend' '! BERTH_MACHINE_ROOT="$work/sick" "$berth" doctor ports | grep -v "^  now\|^  keep" | grep ".\{81\}"'
mkdir -p "$work/loop/src/cli" "$work/loop/src/shim"
cp "$berth" "$work/loop/src/cli/" && ln -s libberth.so "$work/loop/src/shim/libberth.so"
expect 'run names a library that cannot be read' '"$work/loop/src/cli/berth" run -- true 2>&1 | grep -q "library $work/loop/src/cli/../shim/libberth.so cannot be read: Too many"'
if [ "$(id -u)" = 0 ]; then
	mkdir -p "$work/hidden/src/cli" "$work/hidden/src/shim"
	cp "$berth" "$work/hidden/src/cli/" && cp "$(dirname "$berth")/../shim/libberth.so" "$work/hidden/src/shim/"
	chmod 700 "$work/hidden"
	expect 'doctor notes a library that other users cannot read' '"$work/hidden/src/cli/berth" doctor berth | grep -A9 "^note     library" | tr -d "\n" | grep -q "Other users cannot  *read it"'
fi
golden version version

# --- free ports: what is wrong, and what there is too little of ---
golden free-zero free 0
golden free-many free 65536
golden free-minus free -1
golden free-word free nonsense
golden free-twice free 2 3
golden free-range-0 free --range 0
golden free-range-65536 free --range 65536
golden free-range-minus free --range -1
golden free-range-reversed free --range 9-8
golden free-range-word free --range a-b
golden free-range-small free 3 --range 20000-20001
golden free-range-privileged free --range 1000-1023
golden free-range-named free --range 3306-3307
golden free-one-privileged free --range 80
golden free-one-blocked free --range 6667
golden free-range-blocked free --registered --range 6665-6669
golden free-lease-unit free --lease 10x
golden free-lease-minutes free --lease 10min
golden free-lease-zero free --lease 0
golden free-lease-long free --lease 31d
golden free-lease-command free --lease 10m -- true
golden free-with-nobody free --with 999999999
golden free-with-word free --with me
golden free-env-wrong free --env a-b -- true
golden free-env-many free 1 --env A --env B -- true
golden free-env-alone free --env A
golden free-no-command free --
golden free-not-found free -- no-such-program
golden free-address-alone free --address 127.0.0.1 -- true
golden free-address-wrong free --listen-fds --address localhost -- true
golden free-explain-alone free --explain
golden free-listening-udp free --udp --listening -- true
golden free-drop-none free --drop 29999
golden free-drop-word free --drop web:80
golden free-drop-and-list free --drop 80 --list
golden free-json-command free --json -- true
golden free-exit free -- sh -c 'exit 7'

# --- a machine of canned files: every screen of its own ports ---
m="$work/canned" r=$work/canned/proc
mkdir -p "$r/net" "$m/usr/lib/systemd/system"
process() { # process PID PPID UID CGROUP NAME INODES ARGUMENTS...
	d=$r/$1
	mkdir -p "$d/fd"
	printf '%s (%s) S %s %s %s 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0 0\n' "$1" "$5" "$2" "$1" "$1" >"$d/stat"
	printf 'Name:\t%s\nUid:\t%s\t%s\t%s\t%s\n' "$5" "$3" "$3" "$3" "$3" >"$d/status"
	printf '0::%s\n' "$4" >"$d/cgroup"
	n_fd=3
	for i in $6; do ln -s "socket:[$i]" "$d/fd/$n_fd" && n_fd=$((n_fd + 1)); done
	ln -s "/srv/$1" "$d/cwd"
	shift 6
	printf '%s\0' "$@" >"$d/cmdline"
}
row() { # row FILE LOCAL PEER STATE TIMER UID INODE
	printf '  0: %s %s %s 00000000:00000000 %s 00000000 %s 0 %s 1 0 100 0 0 10 0\n' "$2" "$3" "$4" "$5" "$6" "$7" >>"$r/net/$1"
}
zero=00000000:0000 zero6=00000000000000000000000000000000:0000 idle=00:00000000
printf 'sl\n' | tee "$r/net/tcp" "$r/net/tcp6" "$r/net/udp" >"$r/net/udp6"
process 1 0 0 /init.scope systemd "1005 1010" /sbin/init
process 700 1 0 /system.slice/docker.service dockerd "" dockerd
process 812 1 0 /system.slice/nginx.service nginx "1001 1002" 'nginx: master process /usr/sbin/nginx'
process 813 812 65534 /system.slice/nginx.service nginx "1001 1002 1020" 'nginx: worker process'
process 814 812 65534 /system.slice/nginx.service nginx "1001 1002" 'nginx: worker process'
process 900 700 0 /system.slice/docker.service docker-proxy 1006 /usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8080 -container-ip 172.17.0.2 -container-port 80
process 950 700 0 /system.slice/docker-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope redis-server 1008 redis-server '*:6379'
id=abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789
process 951 700 0 /system.slice/docker-$id.scope postgres 1009 postgres
row tcp 030011AC:1538 $zero 0A $idle 0 1009
mkdir -p "$m/var/lib/docker/containers/$id"
printf '{"ID":"%s","Config":{"Hostname":"x"},"Name":"/shop-db-1","Driver":"overlay2"}' $id >"$m/var/lib/docker/containers/$id/config.v2.json"
process 4711 4700 65534 /user.slice/user-65534.slice/user@65534.service/app.slice/shop.service node 1003 node server.js
process 4700 1 65534 /user.slice/user-65534.slice/user@65534.service/init.scope systemd "" /lib/systemd/systemd --user
process 4712 4710 65534 /user.slice/user-65534.slice/session-3.scope "$(printf 'py\033[31mthon3')" 1004 python3 -m http.server 3000 --bind 127.0.0.1
process 4710 1 65534 /user.slice/user-65534.slice/session-3.scope bash "" -bash
printf '[Socket]\nListenStream=22\nAccept=no\n' >"$m/usr/lib/systemd/system/ssh.socket"
row tcp 00000000:0050 $zero 0A $idle 0 1001
row tcp6 00000000000000000000000000000000:0050 $zero6 0A $idle 0 1002
row tcp6 00000000000000000000000001000000:0BB8 $zero6 0A $idle 65534 1003
row tcp 0100007F:0BB8 $zero 0A $idle 65534 1004
row tcp 00000000:0016 $zero 0A $idle 0 1005
row tcp 00000000:1F90 $zero 0A $idle 0 1006
row udp 00000000:CA6C $zero 07 $idle 0 1007
row tcp 020011AC:18EB $zero 0A $idle 0 1008
row tcp 0200000A:0050 0900000A:C350 06 03:00001004 0 0
row tcp 0200000A:0050 0900000A:C351 01 $idle 65534 1020
row tcp 0200000A:0050 0800000A:C352 08 $idle 65534 0
canned() {
	BERTH_MACHINE_ROOT=$m golden "$@"
}
canned machine-ls ls
canned machine-ls-all ls -a --sort -program,port -o port,address,state,program,pid,ends
canned machine-ls-unit ls --unit nginx
canned machine-ls-none ls 81
canned machine-ls-json ls 3000 --json
canned machine-ls-lines ls --ndjson -o port,program,unit,container
canned machine-ls-timers ls -at -o timer,port,timer_s,state,retransmits,peer --sort -timer_s
canned machine-who-unit who http
canned machine-who-unit-json who 80/tcp --json
canned machine-who-split who 3000
canned machine-who-socket who 22
canned machine-who-proxy who 8080
canned machine-who-container who 6379
canned machine-who-named who 5432
canned machine-who-kernel who 51820
canned machine-who-nobody who 40000
# Containers of other runtimes: their names stand in the runtimes' files.
m="$work/boxes" r=$work/boxes/proc
mkdir -p "$r/net" "$m/var/lib/containers/storage/overlay-containers"
printf 'sl\n' | tee "$r/net/tcp" "$r/net/tcp6" "$r/net/udp" >"$r/net/udp6"
n_box=0
box() { # box PORT CGROUP with ID for the id
	n_box=$((n_box + 1))
	id=$(printf '%064d' $n_box)
	process $((960 + n_box)) 700 0 "$(echo "$2" | sed "s/ID/$id/")" server $((2000 + n_box)) server
	row tcp "$(printf '00000000:%04X' $1)" $zero 0A $idle 0 $((2000 + n_box))
}
spec() { # spec SPACE ANNOTATIONS: containerd's, of the last box
	mkdir -p "$m/run/containerd/io.containerd.runtime.v2.task/$1/$id"
	printf '{"ociVersion":"1.1.0","process":{"args":["x"]},"annotations":{%s}}' "$2" >"$m/run/containerd/io.containerd.runtime.v2.task/$1/$id/config.json"
}
box 7001 /machine.slice/libpod-ID.scope
podman=$id
box 7002 /machine.slice/libpod-ID.scope
volatile=$id
box 7003 /machine.slice/libpod-ID.scope
printf '[{"id":"%s","names":["other"]},{"id":"%s","names":["shop-web"],"image":"x"}]' "$volatile" "$podman" >"$m/var/lib/containers/storage/overlay-containers/containers.json"
printf '[{"id":"%s","names":["once-%s"]},{"id":"%s","names":["a b;c"]}]' $volatile "" "$id" >"$m/var/lib/containers/storage/overlay-containers/volatile-containers.json"
box 7004 /system.slice/nerdctl-ID.scope
spec default '"nerdctl/name":"cache","nerdctl/namespace":"default"'
box 7005 /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0c9e2a5b_1111.slice/cri-containerd-ID.scope
spec k8s.io '"io.kubernetes.cri.container-name":"web","io.kubernetes.cri.sandbox-name":"shop-7d4b","io.kubernetes.cri.sandbox-namespace":"default"'
box 7006 /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0c9e2a5b_2222.slice/crio-ID.scope
sed -i "s/]\$/,{\"id\":\"$id\",\"names\":[\"k8s_dns_coredns-5d_kube-system_1234_0\"]}]/" "$m/var/lib/containers/storage/overlay-containers/containers.json"
box 7007 /system.slice/nerdctl-ID.scope
spec default 'no json'
canned boxes-ls ls -o port,program,container
canned boxes-who-podman who 7001
canned boxes-who-nerdctl who 7004
canned boxes-who-pod who 7005
canned boxes-who-crio who 7006
canned boxes-who-unnamed who 7007
golden wrong-column ls -o prot
golden wrong-state ls --state listning
golden wrong-user ls --user no-such-user
golden wrong-machine ls -m -n lab

# --- networks ---
golden net-create net create default --subnet 10.99.0.0/24
golden net-create-twice net create default
golden net-typo ls -n defautl
golden net-other-subnet run --subnet 10.98.0.0/24 -- true

# --- a program's end is its own ---
golden run-exit run -- sh -c 'exit 7'
golden run-not-found run -- no-such-program
mkdir -p "$work/path/a-folder"
PATH="$work/path:$PATH" golden run-a-folder run -- a-folder
golden run-not-executable run -- /etc/passwd
golden run-environment run -H web -- sh -c 'echo "$BERTH_HOST ${BERTH_NETWORK_DIR##*/} ${LD_PRELOAD##*/}"; echo "$no_proxy" | grep -o "[^,]*10.99.0.0/24"'
"$berth" run -- sh -c 'kill -TERM $$' >/dev/null 2>&1
expect "death by a signal is passed on" "[ $? = 143 ]"
expect "standard input reaches the program" "[ \"\$(echo hello | '$berth' run -- cat)\" = hello ]"
expect "a signal sent to berth reaches the program" "'$berth' run -- sh -c 'trap \"exit 42\" USR1; kill -USR1 \$PPID; while :; do sleep 0.02; done'; [ \$? = 42 ]"

# --- ports ---
hold web 0.0.0.0 80 listen
hold web :: 8080 listen
hold web ::1 8081 v6only listen
hold web 0.0.0.0 53 udp
hold db 127.0.0.1 5432 reuseaddr listen
golden ls ls -n default
golden ls-host ls -H db
golden ls-range ls 8000-8080 -n default
golden ls-name ls http -n default
golden ls-none ls 9 -n default
golden ls-json ls 80 -n default --json
golden who who web:80
golden who-json who 80 -H web --json
golden who-elsewhere who 80 -n default
golden who-typo who 80 -H wbe
golden why-listen why 80 -H web
golden why-json why web:80 --json
golden why-dual why 0.0.0.0:8080 -H web --listen
golden why-free why 81 -H web
golden why-flags why 5432 -H db --address 127.0.0.1 --reuseaddr --listen
golden ls-udp ls 53/udp -n default
golden who-udp who 53/udp -H web
golden why-udp why 53 --udp -H web
golden why-udp-free why 54/udp -H web
golden refused-udp run -H web -- "$holder" 0.0.0.0 53 udp
golden why-not-local why 80 -H web --address 10.1.1.1
golden refused run -H web -- "$holder" 0.0.0.0 80
golden refused-quiet run -q -H web -- "$holder" 0.0.0.0 80
golden refused-once run -H web -- sh -c "'$holder' 0.0.0.0 80; '$holder' 0.0.0.0 80"
golden name-offers name _http._tcp
golden name-offers-host name http-alt@web
golden name-offers-json name _http._tcp.web.default.berth --json
golden name-offers-local name _postgresql._tcp.db
golden name-offers-none name _http._tcp.db
golden name-offers-unknown name _nosuch._tcp
golden name-offers-wrong name _http._sctp
golden name-offers-typo name http@wbe
golden name-mention name http -n default
printf 'berthly 8081/tcp # of this network\n' >"$BERTH_DIR/default/services"
golden name-own name berthly -n default
rm "$BERTH_DIR/default/services"
golden name-80 name 80 -n default
golden name-blocked name 6000/tcp -n default
golden name-near name postgers -n default
golden name-sctp name 80/sctp -n default
golden name-address name '[::1]:80' -n default
golden name-of-host name web:http/tcp -n default --json
golden name-colon name http: -n default
golden name-url name http://x -n default
golden name-slash name 914c/g -n default
golden name-search name --search dhcp -n default
golden name-several name 5432/tcp 8080-8082 ssh 5199 -n default
golden name-json name 8081/tcp -n default --json
golden net-show net show
expect 'net show -n' '"$berth" net show -n default | grep -q "^network    default$"'
golden net-show-json net show --json
golden net-ls net ls
golden net-busy net rm default
# The columns stand under their titles.
"$berth" ls -n default >"$work/table"
expect "columns are aligned" "awk 'NR==1{p=index(\$0,\"STATE\")} NR>1&&substr(\$0,p)!~/^(listening|bound) /{exit 1}' '$work/table'"
expect "no colour when not a terminal" "! grep -q \"\$(printf '\\033')\" '$work/table'"

# --- and afterwards nothing is left ---
exec 9>&-
for p in $holders; do wait "$p"; done
holders=
golden after-ls ls -n default
expect "no socket is left behind" "[ -z \"\$(find '$BERTH_DIR' -type s)\" ]"
golden net-rm net rm default
golden name-range name 99999
golden name-none name nosuchthing
# --- who may pass to the outside ---
golden policy-create net create lab --subnet 10.88.0.0/24 --allow gateway:5432 --allow 10.0.0.0/8:443/tcp --deny 10.1.2.3
golden policy-show net policy lab
golden policy-json net policy lab --json
golden policy-open net policy lab --open --deny :smtp --deny 2001:db8::/32
golden policy-add net policy lab --allow '[2001:db8::1]:443'
golden policy-clear net policy lab --clear
golden policy-idle net policy lab --allow 192.0.2.1
golden policy-isolated net policy lab --isolated
golden policy-loopback net policy lab --deny 127.0.0.1:80
golden policy-wrong net policy lab --allow 10.0.0.0/33
golden policy-inside net policy lab --deny 10.88.0.7
golden policy-both net policy lab --open --isolated
golden policy-misplaced net ls --isolated
"$berth" net policy lab --allow nosuchname.invalid >/dev/null 2>"$work/err"
expect "a name that does not resolve" "[ $? = 125 ] && grep -q \"the name 'nosuchname.invalid' has no address now\" '$work/err'"
golden policy-no-network net policy nowhere --isolated
golden policy-refused-none ls --refused -n lab
cat >"$work/out.py" <<-'END'
	import socket, sys
	for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
	    s = socket.socket(socket.AF_INET, kind)
	    try:
	        s.connect(('192.0.2.9', 443))
	        s.send(b'x')
	    except OSError as e:
	        print(e)
END
golden policy-denied run -n lab -- python3 "$work/out.py"
golden policy-run run -n lab --deny 192.0.2.9 -- python3 "$work/out.py"
golden policy-run-wrong run -n lab --allow 127.0.0.1 -- true
golden policy-refused ls --refused -n lab
golden policy-refused-json ls --refused -n lab --json
golden policy-net-show net show lab
golden policy-rm net rm lab
# Root without the one capability is a plain user here.
drop=
[ "$(id -u)" = 0 ] && drop="setpriv --bounding-set -net_bind_service --inh-caps -net_bind_service"
$drop "$berth" run -n strict --subnet 10.97.0.0/24 --privileged-ports=deny -- "$holder" 0.0.0.0 80 </dev/null >"$work/out" 2>"$work/err"
expect "a privileged port is refused" "grep -q 'bind EACCES' '$work/out'"
expect "and explained" "grep -q 'was refused 80/tcp on host local: EACCES' '$work/err'"
$drop "$berth" why 80 -n strict >"$work/out"
expect "why agrees" "[ $? = 1 ] && grep -q EACCES '$work/out'"
expect "a full disk is told" "'$berth' name 80 >/dev/full 2>'$work/err'; [ \$? = 125 ] && grep -q 'cannot write' '$work/err'"
expect "a limit on the size of files is told, and is no signal" \
	"said=\$( (ulimit -f 0; '$berth' run -n limit -- true 2>&1; echo \$?) | tr '\\n' ' '); case \$said in *'cannot be made: the limit on the size of files is too low (ulimit -f) 125 ') ;; *) false ;; esac"
(ulimit -f 3000 && golden refused-full run -n small -H full -- "$holder" 127.0.0.1 1000 all && [ $failed = 0 ]) || failed=$((failed + 1))
expect "and leaves nothing" "! ls -A '$BERTH_DIR' | grep -q limit"
mkdir -m 755 "$work/open"
BERTH_DIR="$work/open" golden too-open ls -n default

echo "$n cases, $failed failed"
[ $failed = 0 ]
