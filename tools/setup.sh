#!/bin/sh
# tools/setup.sh BUILD: a build folder, unless it is there already. Without cmocka the tests are left
# out, so that building and the demo need no more than they use; tools/test.py puts them in again.
set -eu
cd "$(dirname "$0")/.."
if [ -f "$1/build.ninja" ]; then
	# A build folder that was copied along with the tree still means the tree it was made in.
	! grep -qF "\"source\": \"$PWD\"" "$1/meson-info/meson-info.json" || exit 0
	rm -rf "$1"
fi
tests=true
pkg-config --exists cmocka 2>/dev/null || tests=false
log=$(mktemp)
trap 'rm -f "$log"' EXIT
what="without the tests: there is no libcmocka-dev"
[ $tests = false ] || what="with the tests"
echo "setting up $1, $what; then compiling, about half a minute"
if ! meson setup "$1" -Dtests=$tests -Dbench=$tests >"$log" 2>&1; then
	cat "$log" >&2
	exit 1
fi
