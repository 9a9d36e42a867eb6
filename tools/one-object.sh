#!/bin/sh
# tools/one-object.sh OUT.a IN.a OBJCOPY AR LINK...: a static library for other people's programs: one object, in which only what the
# library promises (default visibility) is visible. Its inner names cannot meet theirs.
set -eu
out=$1 in=$2 objcopy=$3 ar=$4
shift 4
whole=$out.o
rm -f "$out" "$whole"
"$@" -nostdlib -r -o "$whole" -Wl,--whole-archive "$in" -Wl,--no-whole-archive
"$objcopy" --localize-hidden "$whole"
"$ar" rcs "$out" "$whole"
rm -f "$whole"
