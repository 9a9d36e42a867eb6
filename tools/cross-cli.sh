#!/bin/sh
# tools/cross-cli.sh COMPILER BUILD: compiles src/cli and src/host for another processor, without linking them.
# The headers of libjansson, libinih, libcsv and libmnl are this machine's: they say the same for every 64-bit Linux.
set -eu
cd "$(dirname "$0")/.."
cc=$1
out=$2/cli-objects
headers=$2/jansson
mkdir -p "$out" "$headers"
# Only those headers: the rest of /usr/include is this machine's libc, which must not be seen.
for h in jansson.h jansson_config.h ini.h csv.h libmnl/libmnl.h; do
	from=$(find /usr/include -maxdepth 3 -path "*/$h" | head -n 1)
	if [ -z "$from" ]; then
		echo "no $h: libjansson-dev, libinih-dev, libcsv-dev or libmnl-dev is not installed"
		exit 77
	fi
	mkdir -p "$(dirname "$headers/$h")"
	cp "$from" "$headers/$h"
done
n=0
for c in src/cli/*.c src/host/*.c; do
	"$cc" -std=gnu17 -D_GNU_SOURCE -Isrc -Iinclude -isystem "$headers" -Wall -Wextra -Werror -Wno-missing-field-initializers \
		-Wshadow -Wvla -Wundef -Wstrict-prototypes -Wmissing-prototypes -O2 -DBERTH_VERSION='"cross"' \
		-DBERTH_LIBDIR='"/usr/lib"' -c "$c" -o "$out/$(echo "${c%.c}.o" | tr / -)"
	n=$((n + 1))
done
echo "$n files compiled by $cc"
