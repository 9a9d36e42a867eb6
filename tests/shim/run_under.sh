#!/bin/sh
# run_under.sh UNDER LAUNCH LIBRARY [CHECK]: under.c on host "one" of a network that also has "two".
set -u
under=$(realpath "$1") launch=$(realpath "$2") library=$(realpath "$3")
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
BERTH_DIR=$dir/b
export BERTH_DIR
"$launch" -e under two >/dev/null || exit 1
# Without its environment the library is inert (1: a real TCP socket); with a network that is not there, a
# TCP socket is refused (2) rather than real.
LD_PRELOAD=$library "$under" --am-i-under
[ $? -eq 1 ] || { echo "FAIL: inert without its environment"; exit 1; }
LD_PRELOAD=$library BERTH_NETWORK_DIR=$dir/none BERTH_HOST=one "$under" --am-i-under
[ $? -eq 2 ] || { echo "FAIL: no TCP socket without the network"; exit 1; }
shift 3
timeout 120 "$launch" under one "$library" "$under" "$@"
r=$?
[ $r -ne 124 ] || echo "FAIL: somebody waits for ever"
exit $r
