#!/bin/sh
# symbols.sh LIBRARY GOLDEN: libberth.so shows libc's names and nothing else.
set -u
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
nm -D --defined-only "$1" | awk '{print $3}' | sed 's/@.*//' | LC_ALL=C sort -u >"$dir/now" || exit 1
grep -v '^#' "$2" | LC_ALL=C sort -u >"$dir/golden"
diff -u "$dir/golden" "$dir/now" || { echo "the symbols of $1 changed; $2 is the list"; exit 1; }
# Nothing of ours may run when the program ends. Thread-local memory: what lock_me() remembers and no more (it comes out of
# every thread's stack), at a fixed place, which needs no call into the loader.
if readelf -d "$1" | grep -E 'FINI_ARRAY|\(FINI\)' | grep -q FINI_ARRAYSZ; then
	size=$(readelf -d "$1" | awk '/FINI_ARRAYSZ/ {print $3}')
	[ "$size" -le 8 ] || { echo "a destructor of ours: FINI_ARRAY has $size octets"; exit 1; }
fi
tls=$(readelf -lW "$1" | awk '$1 == "TLS" {print $6}')
[ "$((${tls:-0}))" -le 16 ] || { echo "$((tls)) octets of thread-local memory in $1"; exit 1; }
if nm -D --undefined-only "$1" | grep -q __tls_get_addr; then echo "$1 asks the loader for thread-local memory"; exit 1; fi
for f in malloc calloc realloc printf fprintf puts; do
	if nm -D --undefined-only "$1" | awk '{print $2}' | sed 's/@.*//' | grep -qx "$f"; then
		echo "$1 calls $f"; exit 1
	fi
done
exit 0
