# tests/outside/worlds.sh: sourced first by a test script that needs an outside.
#
# The test runs in a network and a mount namespace of its own: that is "the machine". A second network namespace, "there", is
# joined to it by veth: 198.51.100.2 and 2001:db8:77::2, ours is .1 and ::1. 203.0.113.0/24 leads there, and is dropped.
# Sets: work (a folder, removed at the end), there (a pid in the other namespace), pids (killed at the end), BERTH_DIR.

[ "$(id -u)" = 0 ] && command -v ip >/dev/null && command -v unshare >/dev/null && command -v nsenter >/dev/null ||
	{ echo "skip: needs root, iproute2 and util-linux, for network namespaces"; exit 77; }
if [ "${WORLDS_INNER-}" != 1 ]; then
	unshare -n -m true 2>/dev/null || { echo "skip: no network namespace can be made here"; exit 77; }
	WORLDS_INNER=1 exec unshare -n -m sh "$0" "$@"
fi
unset WORLDS_INNER
work=$(mktemp -d) || exit 1
pids=
worlds_end()
{
	kill $pids 2>/dev/null
	wait 2>/dev/null
	rm -rf "$work"
}
trap worlds_end EXIT
BERTH_DIR=$work/b
export BERTH_DIR
unshare -n sleep 600 &
there=$!
pids=$there
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(readlink /proc/$there/ns/net)" != "$(readlink /proc/$$/ns/net)" ] && break
	sleep 0.1
done
ip link set lo up
ip link add v0 type veth peer name v1 netns "$there" || { echo "skip: no veth here"; exit 77; }
ip addr add 198.51.100.1/24 dev v0
ip addr add 2001:db8:77::1/64 dev v0 nodad
ip link set v0 up
nsenter -t "$there" -n sh -c 'ip link set lo up; ip addr add 198.51.100.2/24 dev v1
	ip addr add 2001:db8:77::2/64 dev v1 nodad; ip link set v1 up; echo 0 >/proc/sys/net/ipv4/ip_forward'
ip route add 203.0.113.0/24 via 198.51.100.2

# Run something there, or on the machine, until the end. First the file that gets its output.
serve_there() { out=$1; shift; nsenter -t "$there" -n "$@" >"$out" 2>&1 & pids="$pids $!"; }
serve_here() { out=$1; shift; "$@" >"$out" 2>&1 & pids="$pids $!"; }
# Wait until a command succeeds, 5 s at most.
until_ok() { for i in $(seq 50); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; echo "FAIL: never: $*"; return 1; }
