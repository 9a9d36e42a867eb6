#!/bin/sh
# tests/system/install.sh BUILD: what `meson install` puts where, and that it works from there, moved
# files and all; and that installing again does not write into the library that programs have mapped.
set -u
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
check() { # what, command...
	what=$1
	shift
	if "$@" >/dev/null 2>&1; then
		echo "ok: $what"
	else
		echo "FAIL: $what"
		failed=1
	fi
}
# A build of its own, because the prefix is compiled in.
prefix=$scratch/usr
meson setup "$scratch/build" --prefix="$prefix" -Dtests=false -Dbench=false >"$scratch/log" 2>&1 &&
	ninja -C "$scratch/build" >"$scratch/log" 2>&1 &&
	meson install -C "$scratch/build" >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log"; exit 1; }
library=$(find "$prefix" -name libberth.so)
check "the command is in bin" [ -x "$prefix/bin/berth" ]
check "the library is in a folder of its own" [ "$(basename "$(dirname "$library")")" = berth ]
BERTH_DIR=$scratch/berth
export BERTH_DIR
mkdir -m 700 "$BERTH_DIR"
check "version" "$prefix/bin/berth" version
rm -rf "$scratch/build/src"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name berth-port.pc)")
export PKG_CONFIG_PATH
if command -v pkg-config >/dev/null; then
	libs=$(pkg-config --variable=libdir berth-port)
	check "a program is built with libberth-port, by pkg-config" \
		cc examples/free/reserve.c -o "$scratch/reserve" $(pkg-config --cflags --libs berth-port) "-Wl,-rpath,$libs"
	check "and runs" "$scratch/reserve"
	check "a static one, too" cc -static examples/free/reserve.c -o "$scratch/reserve-static" $(pkg-config --cflags --libs --static berth-port)
	check "and runs alone" "$scratch/reserve-static"
else
	echo "skip: libberth-port, no pkg-config"
fi
check "berth free, installed" "$prefix/bin/berth" free -- true
said=$("$prefix/bin/berth" run -n t -H a -- env 2>&1 | grep '^LD_PRELOAD=')
check "run preloads the installed library (said: $said)" [ "$said" = "LD_PRELOAD=$library" ]
inode=$(stat -c %i "$library")
exec 9<"$library"
before=$(cksum <"$library")
meson setup "$scratch/build2" --prefix="$prefix" -Dtests=false -Dbench=false --buildtype=release >"$scratch/log" 2>&1 &&
	ninja -C "$scratch/build2" >"$scratch/log" 2>&1 &&
	meson install -C "$scratch/build2" >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log"; exit 1; }
check "installing again makes a new file" [ "$(stat -c %i "$library")" != "$inode" ]
check "the old one, still open, has not changed" [ "$(cksum <&9)" = "$before" ]
exit $failed
