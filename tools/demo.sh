#!/bin/sh
# tools/demo.sh [BUILD]: berth's main job on programs that know nothing of it. `make demo` builds first.
#
# Two python3 web servers, each on port 80 of a host of its own; a third program that wants port 80 of
# the first host and is told who has it; curl on a third host, which fetches both pages by name. All of
# it in a private folder; nothing is left afterwards. Every line of output is what the programs said.
#
# Exit code: 0, each step gave what it must; 1, one did not, and the last lines say which.
set -eu
cd "$(dirname "$0")/.."
build=$(cd "${1:-build}" && pwd)
PATH=$build/src/cli:$PATH
export PATH
top=$(mktemp -d)
# A folder for networks of our own: those of the person who runs this are not touched.
BERTH_DIR=$top/berth
export BERTH_DIR
unset BERTH_NETWORK_DIR BERTH_HOST BERTH_RUN 2>/dev/null || :
runs=

cleanup() {
	for pid in $runs; do
		kill "$pid" 2>/dev/null || :
	done
	for pid in $runs; do
		wait "$pid" 2>/dev/null || :
	done
	rm -rf "$top"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP PIPE

step() { printf '\n# %s\n' "$1"; }
show() { printf '$ %s\n' "$1"; }
fail() {
	printf '\ndemo: FAILED: %s\n' "$1"
	for log in "$top"/*.log; do
		if [ -s "$log" ]; then
			printf -- '--- %s\n' "$(basename "$log")"
			tail -n 20 "$log"
		fi
	done
	exit 1
}

# serve HOST TEXT: python3's own web server on port 80 of HOST, with a page that says TEXT.
serve() {
	mkdir -p "$top/$1"
	printf '%s\n' "$2" >"$top/$1/index.html"
	show "berth run -n demo -H $1 -- python3 -m http.server 80 &"
	(cd "$top/$1" && exec berth run -n demo -H "$1" -- python3 -m http.server 80) >"$top/$1.log" 2>&1 &
	runs="$runs $!"
	tries=0
	until berth who -n demo -H "$1" 80 >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 150 ] || fail "nobody listens on port 80 of $1 after 15 s"
		kill -0 "${runs##* }" 2>/dev/null || fail "the server of $1 ended"
		sleep 0.1
	done
}

# fetch HOST TEXT: curl, on the host `client`, gets TEXT from http://HOST/.
fetch() {
	show "berth run -n demo -H client -- curl -s http://$1/"
	got=$(berth run -n demo -H client -- curl -sS -m 10 "http://$1/" 2>"$top/curl-$1.log") || fail "curl http://$1/ ended with $?"
	printf '%s\n' "$got"
	[ "$got" = "$2" ] || fail "http://$1/ gave '$got' and not '$2'"
}

step "Two unmodified web servers, both on port 80, each on a host of its own"
serve web "the page of web"
serve api "the page of api"

step "A third program wants port 80 of the host web"
show "berth run -n demo -H web -- python3 -m http.server 80"
code=0
berth run -n demo -H web -- python3 -m http.server 80 >"$top/third.log" 2>&1 || code=$?
# Python's own report is long, and berth's comes while it prints; of python's the last line says it all.
said=$(awk '/^berth: / { on = 1; print; next } on && /^  (who|why|try|   )  / { print; next } { on = 0 }' "$top/third.log")
grep '^OSError' "$top/third.log" || fail "python did not report an error (exit code $code)"
printf '%s\n' "$said"
[ $code -ne 0 ] || fail "the third program was not refused"
grep -q 'Errno 98' "$top/third.log" || fail "python did not get EADDRINUSE"
[ -n "$said" ] || fail "berth explained nothing"
holder=$(echo "$said" | sed -n 's/^  who  .*(pid \([0-9][0-9]*\).*/\1/p' | head -n 1)
[ -n "$holder" ] || fail "the explanation names no process"
web_run=$(echo "$runs" | cut -d' ' -f2)
parent=$holder # berth run, its keeper, the program
while [ -n "$parent" ] && [ "$parent" -gt 1 ] && [ "$parent" != "$web_run" ]; do
	parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$parent/status" 2>/dev/null || :)
done
[ "$parent" = "$web_run" ] || fail "the explanation names process $holder, which is not the server of web"

step "curl on a third host fetches both, by name"
fetch web "the page of web"
fetch api "the page of api"

step "Who holds what"
show "berth ls -n demo"
berth ls -n demo >"$top/ls.log" 2>&1 || fail "berth ls ended with $?"
cat "$top/ls.log"
[ "$(grep -c 'python' "$top/ls.log")" -ge 2 ] || fail "berth ls does not show both servers"

step "The servers stop; nothing is left"
for pid in $runs; do
	kill "$pid" 2>/dev/null || :
done
for pid in $runs; do
	wait "$pid" 2>/dev/null || :
done
runs=
show "berth ls -n demo"
berth ls -n demo >"$top/after.log" 2>&1 || :
cat "$top/after.log"
! grep -q python "$top/after.log" || fail "a claim is left"
[ -z "$(find "$BERTH_DIR/demo/s" -mindepth 1 2>/dev/null)" ] || fail "a listener's path is left: $(find "$BERTH_DIR/demo/s")"
show "berth net rm demo"
berth net rm demo || fail "berth net rm ended with $?"
[ ! -e "$BERTH_DIR/demo" ] || fail "the network's folder is left"
left=$(grep -lzxF "BERTH_NETWORK_DIR=$BERTH_DIR/demo" /proc/[0-9]*/environ 2>/dev/null || :)
[ -z "$left" ] || fail "a process is left: $left"
printf '\nEvery step gave what it must.\n'
