#!/bin/sh
# run_calls.sh CALLS LAUNCH LIBRARY [DIFFERENCES GOLDEN]: a script of calls (calls.c, ends.c) natively and under
# the shim, compared (compare.py). DIFFERENCES and GOLDEN are those of calls.c unless others are named.
# LAUNCH: shim_launch, without a supervisor; or berth itself, with one. Where this machine lets berth have none, the
# sections self-... are not compared: a socket is connected to itself by the supervisor.
# Natively it runs in a network namespace of its own, so that the machine's ports do not matter.
# Needs python3 for the comparison.
set -u
command -v python3 >/dev/null || { echo "skipped: python3 is not installed"; exit 77; }
calls=$(realpath "$1") launch=$(realpath "$2") library=$(realpath "$3")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
ulimit -n 1024
native=- failed=0
for ns in "unshare -n" "unshare -rn"; do
	$ns true 2>/dev/null || continue
	native=$dir/native
	$ns sh -c 'ip link set lo up 2>/dev/null || ifconfig lo up; exec timeout 100 "$0"' "$calls" >"$native" 2>&1 ||
		{ echo "natively the script ended with $?, after:"; tail -3 "$native"; failed=1; }
	break
done
[ "$native" != - ] || echo "no right to make a network namespace: this machine's kernel is not asked"
chmod 700 "$dir"
export BERTH_DIR="$dir/berth"
golden=${5:-$here/../golden/shim-calls-6.18.txt}
if [ "$(basename "$launch")" = berth ]; then
	timeout 100 "$launch" run -q -H one -- "$calls" >"$dir/berth.txt" 2>"$dir/said"
	r=$?
	cat "$dir/said"
	if "$launch" run -H one -- true 2>&1 | grep -q 'no second net'; then
		echo "no supervisor on this machine: the sections self-... are left out"
		sed '/^self-/d' "$golden" >"$dir/golden" && golden=$dir/golden
		sed -i '/^self-/d' "$dir/berth.txt"
		[ "$native" = - ] || sed -i '/^self-/d' "$native"
	fi
else
	timeout 100 "$launch" calls one "$library" "$calls" >"$dir/berth.txt" 2>&1
	r=$?
fi
if [ $r -ne 0 ]; then
	echo "under berth the script ended with $r, after:"
	tail -3 "$dir/berth.txt"
	failed=1
fi
[ -n "${KEEP:-}" ] && cp "$native" "$dir/berth.txt" "$KEEP"
python3 "$here/compare.py" "$native" "$dir/berth.txt" "${4:-$here/differences.txt}" "$golden" || failed=1
exit $failed
