#!/bin/sh
# tests/outside/run_calls.sh BERTH CALLS DIFFERENCES STATIC DIFFERENCES [SECTION]: calls.c on Linux itself and under berth, as it
# is and as a static program, compared line by line. KEEP=FOLDER keeps what each was answered.
set -u
. "$(dirname "$0")/worlds.sh"
command -v python3 >/dev/null || { echo "skip: needs package python3"; exit 77; }
berth=$(realpath "$1") calls=$(realpath "$2") differences=$(realpath "$3") static=$(realpath "$4") static_differences=$(realpath "$5")
compare=$(realpath "$(dirname "$0")/../shim/compare.py")
shift 5
port=7777 failed=0
# A port that the native run has left in TIME-WAIT would be another answer to the next.
echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets 2>/dev/null
nsenter -t "$there" -n sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit' 2>/dev/null
serve_there "$work/there" "$calls" serve $port
until_ok test -s "$work/there"
answers() # file, command...
{
	out=$work/$1
	shift
	timeout 100 "$@" 198.51.100.2 2001:db8:77::2 $port $section >"$out" 2>"$work/said" ||
		{ echo "$out: the script ended with $?, after:"; tail -3 "$out"; failed=1; }
	cat "$work/said"
	[ -z "${KEEP:-}" ] || cp "$out" "$KEEP"
}
section="$*"
answers native "$calls"
answers preloaded "$berth" run -q -H web -- "$calls"
# Of what static programs do not have (docs/second-net.md, outside.md) nothing is asked: relays, error queues and control messages.
if [ -z "$section" ]; then
	section="shared,loose not"
	answers static "$berth" run -q -H web -- "$static"
fi
python3 "$compare" - "$work/preloaded" "$differences" "$work/native" || failed=1
[ -s "$work/static" ] || exit $failed
echo "--- static"
sed -i '/^shared/d; /^udp-loose/d' "$work/native"
python3 "$compare" - "$work/static" "$static_differences" "$work/native" || failed=1
exit $failed
