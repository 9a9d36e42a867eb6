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
	for example in echo_by_hand echo_tun; do
		check "examples/stack/$example.c is built with libberth-stack, by pkg-config" \
			cc examples/stack/$example.c -o "$scratch/$example" $(pkg-config --cflags --libs berth-stack) "-Wl,-rpath,$libs"
	done
	check "and runs" "$scratch/echo_by_hand"
	check "a static one, too" cc -static examples/stack/echo_by_hand.c -o "$scratch/echo-static" $(pkg-config --cflags --libs --static berth-stack)
	check "and runs alone" "$scratch/echo-static"
	printf '#include <berth/stack.h>\nint main() { berth_stack_config c = {}; c.struct_size = sizeof(c); return berth_stack_size(&c) == 0; }\n' >"$scratch/use.cc"
	check "C++ reads the header" c++ "$scratch/use.cc" -o "$scratch/use" $(pkg-config --cflags --libs berth-stack) "-Wl,-rpath,$libs"
	check "and its program runs" "$scratch/use"
	check "examples/dhcp/dhcp_ask.c is built with libberth-dhcp, by pkg-config" \
		cc examples/dhcp/dhcp_ask.c -o "$scratch/dhcp_ask" $(pkg-config --cflags --libs berth-dhcp) "-Wl,-rpath,$libs"
	check "and runs" sh -c "'$scratch/dhcp_ask' no-such-interface; [ \$? = 2 ]"
	check "a static one, too" cc -static examples/dhcp/dhcp_ask.c -o "$scratch/dhcp-static" $(pkg-config --cflags --libs --static berth-dhcp)
	check "and runs alone" sh -c "'$scratch/dhcp-static' no-such-interface; [ \$? = 2 ]"
	printf '#include <berth/dhcp.h>\nint main() { return berth_dhcp_size() == 0; }\n' >"$scratch/use-dhcp.cc"
	check "C++ reads its header" c++ "$scratch/use-dhcp.cc" -o "$scratch/use-dhcp" $(pkg-config --cflags --libs berth-dhcp) "-Wl,-rpath,$libs"
	check "and its program runs" "$scratch/use-dhcp"
else
	echo "skip: libberth-port, no pkg-config"
fi
check "berth free, installed" "$prefix/bin/berth" free -- true
said=$("$prefix/bin/berth" run -n t -H a -- env 2>&1 | grep '^LD_PRELOAD=')
check "run preloads the installed library (said: $said)" [ "$said" = "LD_PRELOAD=$library" ]
# All of it, and where it belongs.
for f in include/berth/port.h include/berth/stack.h include/berth/dhcp.h share/doc/berth/README.md share/doc/berth/LICENSE share/doc/berth/docs/cli.md \
	share/bash-completion/completions/berth share/zsh/site-functions/_berth share/fish/vendor_completions.d/berth.fish; do
	check "$f" [ -s "$prefix/$f" ]
done
if command -v scdoc >/dev/null 2>&1; then
	for page in berth.1 berth-run.1 berth.conf.5 berth.7; do
		check "man page $page" [ -s "$prefix/share/man/man${page##*.}/$page" ]
	done
fi
pc=$(find "$prefix" -name berth-port.pc)
if command -v pkg-config >/dev/null 2>&1; then
	said=$(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs berth-port)
	check "pkg-config leads to it (said: $said)" sh -c "case '$said' in *-I$prefix/include*-L$prefix/lib*-lberth-port*) ;; *) exit 1 ;; esac"
fi
check "nothing in the documents says where it was built" sh -c "! grep -rlF '$scratch/build' '$prefix/share' '$pc'"
inode=$(stat -c %i "$library")
exec 9<"$library"
before=$(cksum <"$library")
meson setup "$scratch/build2" --prefix="$prefix" -Dtests=false -Dbench=false --buildtype=release >"$scratch/log" 2>&1 &&
	ninja -C "$scratch/build2" >"$scratch/log" 2>&1 &&
	meson install -C "$scratch/build2" >"$scratch/log" 2>&1 || { tail -n 30 "$scratch/log"; exit 1; }
check "installing again makes a new file" [ "$(stat -c %i "$library")" != "$inode" ]
check "the old one, still open, has not changed" [ "$(cksum <&9)" = "$before" ]
# Into a folder for a package, and away again.
DESTDIR=$scratch/dest meson install -C "$scratch/build2" --no-rebuild >"$scratch/log" 2>&1
check "DESTDIR has the same files" sh -c "cd '$prefix' && find . | sort >'$scratch/a' && cd '$scratch/dest$prefix' && find . | sort >'$scratch/b' && cmp '$scratch/a' '$scratch/b'"
mkdir -p "$scratch/tree/tools" "$scratch/tree/build-install/meson-logs"
cp tools/install-build.sh "$scratch/tree/tools/"
cp "$scratch/build2/meson-logs/install-log.txt" "$scratch/tree/build-install/meson-logs/"
echo "somebody's own" >"$scratch/dest$prefix/share/doc/berth/own"
"$scratch/tree/tools/install-build.sh" --uninstall >"$scratch/removed" 2>&1
check "uninstall lists what it removes" grep -qxF "$scratch/dest$prefix/bin/berth" "$scratch/removed"
check "and leaves what is not its own" [ "$(find "$scratch/dest" -type f -o -type l)" = "$scratch/dest$prefix/share/doc/berth/own" ]
check "folders named after it are gone" [ ! -e "$scratch/dest$prefix/include/berth" ]
exit $failed
