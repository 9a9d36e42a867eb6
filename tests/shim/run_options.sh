#!/bin/sh
# run_options.sh OPTIONS LAUNCH LIBRARY: options.c natively and under the shim, compared (compare_options.py).
# Natively it runs in a network namespace of its own where one can be made; it needs none, as it binds port 0 only.
set -u
command -v python3 >/dev/null || { echo "skipped: python3 is not installed"; exit 77; }
options=$(realpath "$1") launch=$(realpath "$2") library=$(realpath "$3")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
ns= failed=0
for try in "unshare -n" "unshare -rn"; do
	$try true 2>/dev/null && { ns=$try; break; }
done
$ns sh -c 'ip link set lo up 2>/dev/null; exec timeout 100 "$0" "$1"' "$options" "${KIND:-}" >"$dir/native" 2>&1 ||
	{ echo "natively it ended with $?, after:"; tail -3 "$dir/native"; failed=1; }
chmod 700 "$dir"
# The values of options are kept in a file that anybody of this user can write to: garbage there, in what is no
# entry of ours, must change nothing.
BERTH_DIR=$dir/berth "$launch" -e options one >/dev/null || exit 1
{ printf '\213\012\142\164\162\145\166\012'; head -c 9000000 /dev/urandom; } >"$dir/berth/options/values"
chmod 600 "$dir/berth/options/values"
BERTH_DIR=$dir/berth timeout 100 "$launch" options one "$library" "$options" "${KIND:-}" >"$dir/berth.txt" 2>&1
r=$?
[ $r -eq 0 ] || { echo "under berth it ended with $r, after:"; tail -3 "$dir/berth.txt"; failed=1; }
[ -n "${KEEP:-}" ] && cp "$dir/native" "$dir/berth.txt" "$KEEP"
python3 "$here/compare_options.py" "$dir/native" "$dir/berth.txt" "$here/options_differences.txt" \
	"$here/../../docs/sockets.md" || failed=1
exit $failed
