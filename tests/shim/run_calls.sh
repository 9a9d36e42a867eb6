#!/bin/sh
# run_calls.sh CALLS LAUNCH LIBRARY: calls.c natively and under the shim, compared (compare.py).
# Natively it runs in a network namespace of its own, so that the machine's ports do not matter.
set -u
calls=$(realpath "$1") launch=$(realpath "$2") library=$(realpath "$3")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
if ! unshare -n true 2>/dev/null; then
	echo "skipped: no right to make a network namespace (unshare -n)"
	exit 77
fi
ulimit -n 1024
unshare -n sh -c 'ip link set lo up 2>/dev/null || ifconfig lo up; exec timeout 100 "$0"' "$calls" >"$dir/native" 2>&1
chmod 700 "$dir"
BERTH_DIR=$dir/berth timeout 100 "$launch" calls one "$library" "$calls" >"$dir/berth.txt" 2>&1
r=$?
if [ $r -ne 0 ]; then
	echo "under berth the script ended with $r, after:"
	tail -3 "$dir/berth.txt"
fi
[ -n "${KEEP:-}" ] && cp "$dir/native" "$dir/berth.txt" "$KEEP"
python3 "$here/compare.py" "$dir/native" "$dir/berth.txt" "$here/differences.txt"
