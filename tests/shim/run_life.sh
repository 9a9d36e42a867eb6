#!/bin/sh
# run_life.sh LIFE LAUNCH LIBRARY BERTH LIFE_LIB LIFE.C... [-- CHECK]: life.c natively and under berth (every check must hold in
# both), then what needs another program around it: small stacks, other preloads, sanitizers, fortified builds,
# socket activation by a real manager, system calls counted by strace. A row whose program is not installed is
# skipped by name. KEEP=DIR keeps the files.
set -u
life=$(realpath "$1") launch=$(realpath "$2") library=$(realpath "$3") berth=$(realpath "$4") lib=$(realpath "$5")
shift 5
sources=
while [ $# -gt 0 ] && [ "$1" != -- ]; do sources="$sources $(realpath "$1")"; shift; done
[ $# -eq 0 ] || shift
dir=${KEEP:-$(mktemp -d)} || exit 1
mkdir -p "$dir"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$dir"' EXIT
BERTH_DIR=$dir/b
export BERTH_DIR
failed=0
on() { timeout 150 "$launch" life one "$library" "$@"; }
own_net=
for ns in "unshare -n" "unshare -rn"; do
	$ns true 2>/dev/null && own_net=$ns && break
done
if [ -n "$own_net" ]; then
	$own_net sh -c 'ip link set lo up 2>/dev/null || ifconfig lo up; exec timeout 150 "$@"' sh "$life" "$@" >"$dir/native" 2>&1 ||
		{ echo "FAIL: a check does not hold natively:"; cat "$dir/native"; failed=1; }
else
	echo "skipped: no right to make a network namespace: nothing is tried natively"
fi
on "$life" "$@" || failed=1
[ $# -eq 0 ] || exit $failed

row() { # what, command that must succeed
	what=$1; shift
	if "$@" >"$dir/row" 2>&1; then echo "ok: $what"; else
		echo "FAIL: $what (exit $?)"; sed 's/^/    /' "$dir/row" | grep -v '^ *ok' | grep -v '^ *berth: \|^ *who \|^ *why \|^ *try ' | tail -20; failed=1
	fi
}
need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "skipped: $1 is not installed (package $2)"
	return 1
}
# --- a stack of 64 KiB, from the making of the network on ---
small() (
	ulimit -s 64 || exit 1
	"$berth" run -n small -H a -- "$life" --role "$@"
)
row "ulimit -s 64: a network is made" small foreign
row "ulimit -s 64: a refusal is a refusal" sh -c 'ulimit -s 64; "$@"; [ $? = 1 ]' sh "$berth" run -n small -H a -- "$life" --role dial 9
row "ulimit -s 64: the life of a process" sh -c 'ulimit -s 64; exec timeout 100 "$@"' sh "$launch" life one "$library" "$life" exec

# --- past libc: the second net's ---
row "the whole life under berth run" timeout 150 "$berth" run -n life -H one -- "$life"
row "a library loaded with RTLD_DEEPBIND" timeout 20 "$berth" run -n life -H one -- "$life" --role deep "$lib"
row "a library in a namespace of its own (dlmopen)" timeout 20 "$berth" run -n life -H one -- "$life" --role deep "$lib" apart

# --- beside other preloads ---
for p in /usr/lib/*/libjemalloc.so.2 /usr/lib/*/libtcmalloc_minimal.so.4 /usr/lib/*/libfakeroot/libfakeroot-sysv.so; do
	[ -e "$p" ] || { echo "skipped: $p is not installed"; continue; }
	row "LD_PRELOAD has ${p##*/}, too" timeout 150 env LD_PRELOAD="$p" "$berth" run -n life -H one -- "$life" exec
done

# --- built in other ways ---
build() { # name, compiler and its options: skipped when these build nothing here (a package of the compiler's is missing)
	out=$1; shift
	echo 'int main(void) { return 0; }' | "$@" -o "$dir/probe" -x c - 2>/dev/null || { echo "skipped: $* builds nothing here"; return 1; }
	"$@" -g -D_GNU_SOURCE -o "$dir/$out" $sources -lpthread >"$dir/cc.err" 2>&1 && return 0
	echo "FAIL: life.c is not built by $*"; tail -20 "$dir/cc.err"; failed=1
	return 1
}
if need gcc gcc; then
	if build fortified gcc -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-all -fPIE -pie -Wl,-z,now; then
		row "built with -D_FORTIFY_SOURCE=3" on "$dir/fortified" passed
	fi
	if build asan gcc -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined; then
		row "built with gcc -fsanitize=address" timeout 150 "$berth" run -n life -H one -- "$dir/asan" --role foreign
		row "built with gcc -fsanitize=address: exec, spawn, passing" timeout 150 "$berth" run -n life -H one -- "$dir/asan" "exec"
	fi
fi
if need clang clang && build tsan clang -O1 -fsanitize=thread; then
	row "built with clang -fsanitize=thread: threads that are cancelled" timeout 150 "$berth" run -n life -H one -- "$dir/tsan" "cancelled"
fi

# --- socket activation ---
# By a manager outside: its descriptor and LISTEN_FDS reach the program, with LISTEN_PID its own.
cat >"$dir/outer" <<'END'
exec 3</dev/null
LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"
END
row "LISTEN_FDS of berth run itself is the program's" sh "$dir/outer" "$berth" run -n life -H one -- \
	sh -c '[ "$LISTEN_FDS" = 1 ] && [ "$LISTEN_PID" = $$ ] && [ "$(readlink /proc/self/fd/3)" = /dev/null ]'
cat >"$dir/outer" <<'END'
LISTEN_FDS=1 LISTEN_PID=1 exec "$@"
END
row "LISTEN_FDS for somebody else stays so" sh "$dir/outer" "$berth" run -n life -H one -- sh -c '[ "$LISTEN_PID" = 1 ]'
if need systemd-socket-activate systemd; then
	activate() {
		"$berth" run -n life -H one -- timeout 20 systemd-socket-activate -l 127.0.0.1:4711 "$life" --role activated 1 &
		p=$!
		n=0
		while [ $n -lt 50 ] && ! "$berth" run -q -n life -H one -- "$life" --role ask 4711; do sleep 0.1; n=$((n + 1)); done
		wait $p
	}
	row "systemd-socket-activate starts a server on its port" activate
fi

# --- system calls ---
if need strace strace; then
	strace -qq -o "$dir/st.native" "$life" --role foreign
	BERTH_NETWORK_DIR=$dir/b/life BERTH_HOST=one strace -qq -E LD_PRELOAD="$library" -o "$dir/st.berth" "$life" --role foreign
	for f in native berth; do
		sed -n '/write(-1, "MARK"/,/write(-1, "MARK"/p' "$dir/st.$f" | sed 's/(.*//' >"$dir/names.$f"
	done
	row "the library is in the traced program" grep -q libberth "$dir/st.berth"
	row "$(($(wc -l <"$dir/names.native") - 2)) system calls on files, pipes and others' sockets: the same under berth" \
		diff "$dir/names.native" "$dir/names.berth"
fi
exit $failed
