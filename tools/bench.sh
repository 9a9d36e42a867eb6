#!/bin/sh
# tools/bench.sh [NAME...]: builds a release and runs every benchmark (or those named), each of which
# measures its rival, the kernel, in the same run.
# Benchmarks are the executables of build-bench/bench: port_* need nothing, shim_* find the shim by
# BERTH_BUILD. Networks are made in a private folder that goes away again.
set -eu
cd "$(dirname "$0")/.."
build=build-bench
[ -f $build/build.ninja ] || meson setup $build --buildtype=release -Dtests=false -Dbench=true >/dev/null
ninja -C $build --quiet
BERTH_DIR=$(mktemp -d)
BERTH_BUILD=$PWD/$build
export BERTH_DIR BERTH_BUILD
trap 'rm -rf "$BERTH_DIR"' EXIT
trap 'exit 1' INT TERM HUP
echo "machine: $(nproc) processors, $(uname -sr), wmem_max $(cat /proc/sys/net/core/wmem_max 2>/dev/null || echo unknown)"
ran=0
failed=0
for b in $build/bench/*; do
	[ -f "$b" ] && [ -x "$b" ] || continue
	case " $* " in "  " | *" $(basename "$b") "*) ;; *) continue ;; esac
	echo
	echo "== $(basename "$b")"
	"$b" || { echo "bench: $(basename "$b") ended with $?" >&2; failed=1; }
	ran=$((ran + 1))
done
[ $ran -gt 0 ] || { echo "bench: no such benchmark" >&2; exit 1; }
exit $failed
