#!/bin/sh
# tests/net2/run_outside_udp.sh BERTH PROGRAM NATIVE [CHECK]: outside_udp.c on a host whose machine, a network namespace
# of its own, has a link to another. PROGRAM: built in one of two ways; NATIVE: the same, as server.
set -u
if [ "${OUTSIDE_INSIDE:-}" != yes ]; then
	OUTSIDE_INSIDE=yes
	export OUTSIDE_INSIDE
	if [ "$(id -u)" = 0 ]; then set -- unshare -n -- "$0" "$@"; else set -- unshare -rn -- "$0" "$@"; fi
	unshare -rn true 2>/dev/null || unshare -n true 2>/dev/null || { echo "skip: no network namespaces here"; exit 77; }
	command -v ip >/dev/null || { echo "skip: needs ip (iproute2)"; exit 77; }
	exec "$@"
fi
berth=$(realpath "$1") program=$(realpath "$2") native=$(realpath "$3")
shift 3
work=$(mktemp -d) || exit 1
there=
here=
trap 'kill $there $here 2>/dev/null; rm -rf "$work"' EXIT
BERTH_DIR=$work/b
export BERTH_DIR

ip link set lo up
unshare -n sh -c "echo up >$work/up; while [ ! -e $work/linked ]; do sleep 0.02; done
	ip link set lo up; ip addr add 10.98.0.2/24 dev v1; ip -6 addr add fd98::2/64 dev v1 nodad; ip link set v1 up
	exec $native server" >"$work/there" 2>&1 &
there=$!
while [ ! -e "$work/up" ]; do sleep 0.02; done
ip link add v0 type veth peer name v1 netns "$there" || { echo "skip: no veth here"; exit 77; }
ip addr add 10.98.0.1/24 dev v0
ip -6 addr add fd98::1/64 dev v0 nodad
ip link set v0 up
: >"$work/linked"
"$native" server >"$work/here" 2>&1 &
here=$!
for i in $(seq 200); do
	grep -q ready "$work/there" && grep -q ready "$work/here" && break
	sleep 0.02
done
grep -q ready "$work/there" && grep -q ready "$work/here" || { echo "FAIL: the servers do not start"; cat "$work/there"; exit 1; }

timeout 20 "$berth" net create --subnet 10.77.0.0/16 default >/dev/null || exit 1
gateway6=$("$berth" net ls --json | sed -n 's/.*"\(fd[0-9a-f:]*::\)\/64".*/\11/p' | head -n 1)
timeout 100 "$berth" run -q -H one -- "$program" 10.77.0.2 10.77.0.1 "$gateway6" "$@"
