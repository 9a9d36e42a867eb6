#!/bin/sh
# tools/bench.sh [NAME...]: builds a release and runs every benchmark (or those named), each of which
# measures its rival, the kernel, in the same run.
# Networks are made in a private folder that goes away again.
set -eu
cd "$(dirname "$0")/.."
build=build-bench
[ -f $build/build.ninja ] || meson setup $build --buildtype=release -Dtests=false -Dbench=true >/dev/null
ninja -C $build --quiet
[ "${1:-}" != --build-only ] || exit 0
BERTH_DIR=$(mktemp -d)
export BERTH_DIR
trap 'rm -rf "$BERTH_DIR"' EXIT
trap 'exit 1' INT TERM HUP
echo "machine: $(nproc) processors, $(uname -sr), wmem_max $(cat /proc/sys/net/core/wmem_max 2>/dev/null || echo unknown)"
cd $build
# meson knows each benchmark's arguments; one at a time, its output as it comes.
failed=0
meson test --benchmark --no-rebuild --verbose --num-processes 1 -t 0 "$@" || failed=1
exit $failed
