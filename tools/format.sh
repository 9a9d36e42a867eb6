#!/bin/sh
# tools/format.sh [--check]: the layout of every C file, by .clang-format.
# The same version everywhere, because versions differ in taste: clang-format 14 or nothing.
# Exit code: 0; 1, something is not in form; 77, no clang-format 14 on this machine.
set -eu
cd "$(dirname "$0")/.."

tool=
for t in clang-format-14 clang-format; do
	case $(command -v $t >/dev/null 2>&1 && $t --version) in *version\ 14.*) tool=$t; break ;; esac
done
if [ -z "$tool" ]; then
	echo "format: no clang-format 14 on this machine"
	exit 77
fi
# Tracked files and new ones, none that is ignored. Generated: src/port/service_data.c and named_data.c.
files=$(git ls-files -co --exclude-standard -- '*.c' '*.h' 2>/dev/null | grep -vE '^src/port/(service|named)_data\.c$' | sort -u |
	while read -r f; do [ ! -f "$f" ] || echo "$f"; done)
[ -n "$files" ] || exit 0
if [ "${1:-}" != --check ]; then
	$tool -i $files
	exit 0
fi
# All at once says whether, one by one which and how.
! echo "$files" | xargs -P "$(nproc)" -n 40 $tool --dry-run -Werror >/dev/null 2>&1 || exit 0
bad=0
for f in $files; do
	if ! $tool "$f" | cmp -s - "$f"; then
		echo "format: $f is not in form (make fmt)"
		[ $bad -ge 5 ] || $tool "$f" | diff -u "$f" - | head -n 20 || :
		bad=$((bad + 1))
	fi
done
[ $bad = 0 ]
