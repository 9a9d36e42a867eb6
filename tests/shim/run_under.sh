#!/bin/sh
# run_under.sh UNDER LAUNCH LIBRARY [CHECK]: under.c on host "one" of a network that also has "two".
set -u
under=$1 launch=$2 library=$3
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
BERTH_DIR=$dir/b
export BERTH_DIR
"$launch" -e under two >/dev/null || exit 1
shift 3
timeout 120 "$launch" under one "$library" "$under" "$@"
r=$?
[ $r -ne 124 ] || echo "FAIL: somebody waits for ever"
exit $r
