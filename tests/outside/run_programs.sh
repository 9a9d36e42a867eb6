#!/bin/sh
# tests/outside/run_programs.sh BERTH: real programs and the outside: each gets a page from the other world and one from
# the machine's loopback. A program that is not installed is skipped by name.
set -u
. "$(dirname "$0")/worlds.sh"
berth=$(realpath "$1") here=$(realpath "$(dirname "$0")")
failed=0
command -v python3 >/dev/null || { echo "skip: needs package python3"; exit 77; }
mkdir "$work/there" "$work/here"
echo "a page from outside" >"$work/there/page"
echo "a page of the machine" >"$work/here/page"
serve_there "$work/there.log" python3 -m http.server 8080 --bind :: --directory "$work/there"
serve_here "$work/here.log" python3 -m http.server 8081 --bind 127.0.0.1 --directory "$work/here"
serve_there "$work/names.log" python3 "$here/names.py" ::
until_ok python3 -c 'import socket; socket.create_connection(("198.51.100.2", 8080)); socket.create_connection(("127.0.0.1", 8081))'
until_ok test -s "$work/names.log"

on() { h=$1; shift; timeout 60 "$berth" run -q -H "$h" -- "$@"; }
is() { # what, wanted, got
	if [ "$2" = "$3" ]; then echo "ok: $1"; else echo "FAIL: $1: wanted '$2', got '$3'"; failed=1; fi
}
need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "skipped: $1 is not installed"
	return 1
}
outside="a page from outside" machine="a page of the machine"

cat >"$work/get.py" <<'P'
import asyncio, sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode().strip())
async def main():
    host, port = sys.argv[1].split("/")[2].rsplit(":", 1)
    r, w = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), 20)
    w.write(b"GET /page HTTP/1.0\r\n\r\n")
    print((await r.read()).decode().strip().splitlines()[-1])
asyncio.run(main())
P
is "python: urllib and asyncio" "$outside $outside" "$(on web python3 "$work/get.py" http://198.51.100.2:8080/page | tr '\n' ' ' | sed 's/ $//')"
is "python: IPv6" "$outside $outside" "$(on web python3 "$work/get.py" 'http://[2001:db8:77::2]:8080/page' | tr '\n' ' ' | sed 's/ $//')"
is "python: the gateway, ::1 of which refuses" "$machine $machine" \
	"$(on web python3 "$work/get.py" http://gateway.berth:8081/page | tr '\n' ' ' | sed 's/ $//')"
if need curl; then
	is "curl" "$outside" "$(on web curl -s -m 20 http://198.51.100.2:8080/page)"
	is "curl: the gateway" "$machine" "$(on web curl -s -m 20 http://gateway.berth:8081/page)"
	is "curl: refused (7)" 7 "$(on web curl -s -m 20 http://198.51.100.2:8082/; echo $?)"
	is "curl: nobody answers (28)" 28 "$(on web curl -s -m 1 http://203.0.113.1/; echo $?)"
	is "curl: eight at once" 8 "$(on web curl -s --no-progress-meter -m 20 -Z --parallel-immediate $(for i in 1 2 3 4 5 6 7 8; do echo "http://198.51.100.2:8080/page"; done) |
		grep -c "$outside")"
fi
if command -v curl >/dev/null; then
	alone() { timeout 60 "$berth" run -q --isolated -H alone -- "$@"; }
	is "isolated: no way outside (7)" 7 "$(alone curl -s -m 20 http://198.51.100.2:8080/page; echo $?)"
	is "isolated: nor to the machine (7)" 7 "$(alone curl -s -m 20 http://gateway.berth:8081/page; echo $?)"
	is "isolated: and it is told" 1 "$("$berth" ls --refused | grep curl | grep -c 198.51.100.2)"
	is "allowed: one way" "$outside" \
		"$(timeout 60 "$berth" run -q --isolated --allow 198.51.100.2:8080 -H alone -- curl -s -m 20 http://198.51.100.2:8080/page)"
fi
if need node; then
	cat >"$work/get.js" <<'P'
const http = require('http')
http.get(process.argv[2], r => { let s = ''; r.on('data', d => s += d); r.on('end', () => console.log(s.trim())) })
	.on('error', e => console.log(e.code))
P
	is "node" "$outside" "$(on web node "$work/get.js" http://198.51.100.2:8080/page)"
	is "node: the gateway" "$machine" "$(on web node "$work/get.js" http://gateway.berth:8081/page)"
	is "node: refused" ECONNREFUSED "$(on web node "$work/get.js" http://198.51.100.2:8082/page)"
fi
if need java; then
	cat >"$work/Get.java" <<'P'
import java.io.*;
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
public class Get {
	public static void main(String[] a) throws Exception {
		try (var in = new BufferedReader(new InputStreamReader(new URL(a[0]).openStream()))) {
			System.out.println(in.readLine());
		}
		var ch = SocketChannel.open();
		ch.configureBlocking(false);
		var sel = Selector.open();
		ch.register(sel, SelectionKey.OP_CONNECT);
		var u = new URL(a[0]);
		ch.connect(new InetSocketAddress(u.getHost(), u.getPort()));
		sel.select(20000);
		System.out.println(ch.finishConnect());
	}
}
P
	is "java: streams and channels" "$outside true" "$(on web java "$work/Get.java" http://198.51.100.2:8080/page 2>&1 | tr '\n' ' ' | sed 's/ $//')"
fi
if need go; then
	cat >"$work/get.go" <<'P'
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	r, err := http.Get(os.Args[1])
	if err != nil {
		fmt.Println(err)
		return
	}
	b, _ := io.ReadAll(r.Body)
	fmt.Print(string(b))
}
P
	if (cd "$work" && GOCACHE=$work/gocache GO111MODULE=off CGO_ENABLED=0 timeout 200 go build -o get get.go) 2>"$work/go.log"; then
		is "go, static" "$outside" "$(on web "$work/get" http://198.51.100.2:8080/page)"
	else
		echo "skipped: go builds nothing here"
	fi
fi
if need nginx && need curl; then
	mkdir "$work/nginx"
	cat >"$work/nginx/conf" <<P
daemon off; pid $work/nginx/pid; error_log $work/nginx/error; worker_processes 1;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path $work/nginx/a; proxy_temp_path $work/nginx/b; fastcgi_temp_path $work/nginx/c;
	uwsgi_temp_path $work/nginx/d; scgi_temp_path $work/nginx/e;
	server {
		listen 80;
		location /out/ { proxy_pass http://198.51.100.2:8080/; }
		location /machine/ { proxy_pass http://127.0.0.1:1/; }
	}
}
P
	chmod a+rx "$work"; chmod -R a+rwX "$work/nginx"
	timeout 120 "$berth" run -q -H proxy -- nginx -e "$work/nginx/error" -c "$work/nginx/conf" &
	pids="$pids $!"
	until_ok on web curl -sf -m 5 http://proxy/out/page
	is "nginx proxies from inside to outside" "$outside" "$(on web curl -s -m 20 http://proxy/out/page)"
	is "nginx: what refuses inside is a bad gateway" 502 "$(on web curl -s -m 20 -o /dev/null -w '%{http_code}' http://proxy/machine/x)"
fi
echo "nameserver 198.51.100.2" >"$work/resolv.conf"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$work/nsswitch.conf"
if mount --bind "$work/resolv.conf" /etc/resolv.conf 2>/dev/null && mount --bind "$work/nsswitch.conf" /etc/nsswitch.conf; then
	is "libc asks the machine's DNS server" "$outside $outside" \
		"$(on web python3 "$work/get.py" http://server.example:8080/page | tr '\n' ' ' | sed 's/ $//')"
	[ ! -x "$work/get" ] || is "go's own resolver" "$outside" "$(on web "$work/get" http://server.example:8080/page)"
	if need node; then
		is "node's own resolver" 198.51.100.2 \
			"$(on web node -e 'require("dns").resolve4("server.example", (e, a) => console.log(e ? e.code : a[0]))')"
	fi
	if need dig; then is "dig" 198.51.100.2 "$(on web dig +short +time=5 server.example @198.51.100.2)"; fi
	# As with systemd-resolved: the machine's server is on its loopback.
	echo "nameserver 127.0.0.53" >"$work/resolv.conf"
	serve_here "$work/names.here" python3 "$here/names.py" ::ffff:127.0.0.53
	until_ok test -s "$work/names.here"
	is "libc asks a name server on the machine's loopback" "$outside $outside" \
		"$(on web python3 "$work/get.py" http://server.example:8080/page | tr '\n' ' ' | sed 's/ $//')"
	[ ! -x "$work/get" ] || is "so does go" "$outside" "$(on web "$work/get" http://server.example:8080/page)"
	if command -v node >/dev/null; then
		is "so does node" 198.51.100.2 \
			"$(on web node -e 'require("dns").resolve4("server.example", (e, a) => console.log(e ? e.code : a[0]))')"
	fi
	cat >"$work/ask.py" <<'P'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\6server\7example\0\0\1\0\1", ("127.0.0.53", 53))
a, who = s.recvfrom(512)
print(socket.inet_ntoa(a[-4:]), *who)
P
	is "so does who does not connect" "198.51.100.2 127.0.0.53 53" "$(on web python3 "$work/ask.py")"
	cat >"$work/own.py" <<'P'
import socket
l = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
l.bind(("127.0.0.53", 53))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("127.0.0.53", 53))
s.send(b"mine")
l.settimeout(5)
print(l.recv(10).decode())
P
	is "a host that has a name server of its own is asked first" mine "$(on web python3 "$work/own.py")"
else
	echo "skipped: no right to mount: names are not asked for"
fi
exit $failed
