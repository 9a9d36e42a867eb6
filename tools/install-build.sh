#!/bin/sh
# tools/install-build.sh PREFIX: a release build, installed. DESTDIR is honoured.
# Files are replaced by new ones, never written into: programs that run keep the library they mapped.
set -eu
cd "$(dirname "$0")/.."
prefix=$1
if [ -f build-install/build.ninja ]; then
	meson configure build-install --prefix="$prefix"
else
	meson setup build-install --prefix="$prefix" --buildtype=release -Dtests=false -Dbench=false >/dev/null
fi
ninja -C build-install --quiet
meson install -C build-install --no-rebuild
