#!/bin/sh
# tools/package.sh OUT: Debian packages of this tree, built by dpkg-buildpackage in a copy of it, into OUT.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
for tool in dpkg-buildpackage dh; do
	if ! command -v $tool >/dev/null 2>&1; then
		echo "no $tool: apt-get install dpkg-dev debhelper" >&2
		exit 77
	fi
done
if ! missing=$(dpkg-checkbuilddeps 2>&1); then
	echo "$missing" >&2
	exit 77
fi
rm -rf "$out/berth"
mkdir "$out/berth"
tar -c --exclude=./.git --exclude='./build*' --exclude="./$(basename "$out")" . | tar -x -C "$out/berth"
cd "$out/berth"
# What this build is called with is not the package's business.
if ! env -u CC -u CFLAGS -u LDFLAGS -u MAKEFLAGS -u MFLAGS -u MAKELEVEL dpkg-buildpackage -us -uc -b -j2 >"$out/log" 2>&1; then
	tail -n 40 "$out/log" >&2
	exit 1
fi
rm -rf "$out/berth"
ls "$out"/*.deb
