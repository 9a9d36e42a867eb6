#!/bin/sh
# tests/outside/run_outside.sh BERTH OUTSIDE STATIC [CHECK]: programs that talk to the outside.
#
# A network namespace of its own for the whole test, and a second one, joined by veth, where the server is. In ours a server
# on the loopback, too: the machine, to a program under berth. 203.0.113.0/24 leads to the other end, which drops it.
set -u
[ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v unshare >/dev/null ||
	{ echo "skip: needs root and iproute2, for network namespaces"; exit 77; }
if [ "${OUTSIDE_INNER-}" != 1 ]; then
	unshare -n true 2>/dev/null || { echo "skip: no network namespace can be made here"; exit 77; }
	OUTSIDE_INNER=1 exec unshare -n sh "$0" "$@"
fi
berth=$(realpath "$1") program=$(realpath "$2") static=$(realpath "$3")
shift 3
work=$(mktemp -d) || exit 1
pids=
trap 'kill $pids 2>/dev/null; rm -rf "$work"' EXIT
BERTH_DIR=$work/b
export BERTH_DIR
port=7777 failed=0
unshare -n sleep 300 &
there=$!
pids=$there
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && break
	sleep 0.1
done
ip link set lo up
if ! ip link add v0 type veth peer name v1 netns "$there"; then
	echo "skip: no veth here"
	exit 77
fi
ip addr add 198.51.100.1/24 dev v0
ip addr add 2001:db8:77::1/64 dev v0 nodad
ip link set v0 up
nsenter -t "$there" -n sh -c 'ip link set lo up; ip addr add 198.51.100.2/24 dev v1
	ip addr add 2001:db8:77::2/64 dev v1 nodad; ip link set v1 up; echo 0 >/proc/sys/net/ipv4/ip_forward'
ip route add 203.0.113.0/24 via 198.51.100.2
nsenter -t "$there" -n "$program" serve $port >"$work/there" &
pids="$pids $!"
"$program" serve $port >"$work/here" &
pids="$pids $!"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -s "$work/there" ] && [ -s "$work/here" ] && break
	sleep 0.1
done
checks() # name, command...
{
	echo "--- $1"
	shift
	timeout 60 "$@" || { echo "FAIL: status $?"; failed=1; }
}
checks "on Linux itself" "$program" 198.51.100.2 2001:db8:77::2 $port "$@"
checks "under berth" "$berth" run -q -H web -- "$program" 198.51.100.2 2001:db8:77::2 $port "$@"
checks "under berth, static" "$berth" run -q -H web -- "$static" 198.51.100.2 2001:db8:77::2 $port "$@"
exit $failed
