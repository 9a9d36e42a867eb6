#!/bin/sh
# tools/one-object.sh OUT.a IN.a OBJCOPY AR [--with MORE.a]... LINK...: a static library for other people's programs: one object, in
# which only what the library promises (default visibility) is visible. Its inner names cannot meet theirs. All of IN is in it, and of
# MORE what is needed.
set -eu
out=$1 in=$2 objcopy=$3 ar=$4
shift 4
more=
while [ "$1" = --with ]; do
	more="$more $2"
	shift 2
done
whole=$out.o
rm -f "$out" "$whole"
"$@" -nostdlib -r -o "$whole" -Wl,--whole-archive "$in" -Wl,--no-whole-archive $more
"$objcopy" --localize-hidden "$whole"
"$ar" rcs "$out" "$whole"
rm -f "$whole"
