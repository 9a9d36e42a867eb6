#!/bin/sh
# run_programs.sh LAUNCH LIBRARY: unmodified programs talk to each other in a network of their own.
# A program that is not installed is skipped by name; when none is, the test is (77).
set -u
launch=$(realpath "$1") library=$(realpath "$2")
dir=$(mktemp -d) || exit 1
pids=""
failed=0 ran=0
BERTH_DIR=$dir/berth
export BERTH_DIR
finish() {
	for p in $pids; do kill "$p" 2>/dev/null; done
	for p in $pids; do wait "$p" 2>/dev/null; done
	rm -rf "$dir"
}
trap finish EXIT
on() { host=$1; shift; "$launch" programs "$host" "$library" "$@"; }
# exec: so that $! is the program and not a shell that outlives it
serve() {
	host=$1; shift
	exec "$launch" programs "$host" "$library" "$@" >"$dir/$host.out" 2>&1
}
need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "skipped: $1 is not installed (package $2)"
	return 1
}
# Up to 10 s for a command to succeed.
until_ok() {
	n=0
	while ! "$@" >/dev/null 2>&1; do
		n=$((n + 1))
		[ $n -lt 100 ] || return 1
		sleep 0.1
	done
}
is() { # what, wanted, got
	ran=$((ran + 1))
	if [ "$2" = "$3" ]; then echo "ok: $1"; else
		echo "FAIL: $1: wanted '$2', got '$3'"; failed=1
	fi
}

if need python3 python3 && need curl curl; then
	for h in web1 web2; do
		mkdir -p "$dir/www/$h"
		echo "hello from $h" >"$dir/www/$h/index.html"
		serve $h python3 -m http.server 80 --directory "$dir/www/$h" &
		pids="$pids $!"
	done
	for h in web1 web2; do
		until_ok on client curl -sf "http://$h/"
		is "curl by name, http.server on port 80 of $h" "hello from $h" "$(on client curl -sf -m 10 http://$h/)"
	done
	addr=$("$launch" -e programs web1 | cut -d' ' -f1)
	nobody=${addr%.*}.250
	is "curl by address" "hello from web1" "$(on client curl -sf -m 10 "http://$addr/")"
	is "curl localhost on the same host" "hello from web2" "$(on web2 curl -sf -m 10 http://localhost/)"
	on client curl -s -m 10 http://localhost/ >/dev/null; is "curl localhost elsewhere: refused (7)" 7 $?
	on client curl -s -m 10 "http://$nobody/" >/dev/null; is "an address of the subnet that is no host's: unreachable (7)" 7 $?
	on web1 timeout 10 python3 -m http.server 80 --directory "$dir/www/web1" >"$dir/third" 2>&1
	is "a second server on web1's port 80 is refused" 1 "$(grep -c 'Address already in use' "$dir/third")"
	web1=${pids# }; web1=${web1%% *}
	LAUNCH_EVENTS=1 on web1 timeout 10 python3 -m http.server 80 >"$dir/third" 2>/dev/null
	is "the refusal is told, with its holder" "event b EADDRINUSE 80 by $web1" "$(grep ^event "$dir/third")"
	is "an unreachable address is told" "event c ENETUNREACH 80 by 0" \
		"$(LAUNCH_EVENTS=1 on client curl -s -m 10 "http://$nobody/" | grep ^event)"
	is "a plain refusal is not" "" "$(LAUNCH_EVENTS=1 on client curl -s -m 10 http://localhost/ | grep ^event)"
fi
if need redis-server redis-server && need redis-cli redis-tools; then
	(cd "$dir" && serve store redis-server --port 6379 --save '' --protected-mode no --bind '* -::*') &
	pids="$pids $!"
	until_ok on client redis-cli -h store ping
	is "redis: set by name" OK "$(on client redis-cli -h store set berth 42)"
	is "redis: get" 42 "$(on client redis-cli -h store get berth)"
	if need redis-benchmark redis-tools; then
		is "redis-benchmark: 50 clients, 20,000 requests" 1 \
			"$(on client redis-benchmark -h store -n 20000 -q -t get 2>/dev/null | tr '\r' '\n' | grep -c '^GET: .* requests per second')"
	fi
fi
if need nginx nginx-light; then
	mkdir -p "$dir/ngx/logs" "$dir/www/ngx" && chmod 755 "$dir" "$dir/www" "$dir/www/ngx"
	echo "hello from nginx" >"$dir/www/ngx/index.html"
	cat >"$dir/ngx/conf" <<END
daemon off; worker_processes 2; pid $dir/ngx/pid; error_log $dir/ngx/error.log; user root;
events { worker_connections 256; }
http { access_log off; client_body_temp_path $dir/ngx/b; proxy_temp_path $dir/ngx/p; fastcgi_temp_path $dir/ngx/f;
	uwsgi_temp_path $dir/ngx/u; scgi_temp_path $dir/ngx/s;
	server { listen 80; listen [::]:80; root $dir/www/ngx; location /up/ { proxy_pass http://web1:80/; } } }
END
	serve ngx nginx -p "$dir/ngx/" -c "$dir/ngx/conf" &
	pids="$pids $!"
	until_ok on client curl -sf http://ngx/
	is "nginx, IPv4" "hello from nginx" "$(on client curl -4sf -m 10 http://ngx/)"
	is "nginx, IPv6" "hello from nginx" "$(on client curl -6sf -m 10 http://ngx/)"
	is "nginx proxies to http.server" "hello from web1" "$(on client curl -sf -m 10 http://ngx/up/)"
	if need ab apache2-utils; then
		is "ab: 2,000 requests, 20 at once, none failed" 1 \
			"$(on client ab -q -n 2000 -c 20 http://ngx/ 2>/dev/null | grep -c '^Failed requests: *0$')"
	fi
fi
if need nc netcat-openbsd; then
	serve ncs nc -l 5000 </dev/null &
	pids="$pids $!"
	until_ok on ncs sh -c 'exit 0'
	sleep 0.3
	echo "over nc" | on client timeout 10 nc -N ncs 5000
	sleep 0.2
	is "nc" "over nc" "$(cat "$dir/ncs.out")"
fi
[ $ran -gt 0 ] || exit 77
exit $failed
