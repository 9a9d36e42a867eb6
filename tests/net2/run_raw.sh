#!/bin/sh
# tests/net2/run_raw.sh BERTH PROGRAM [CHECK]: raw.c on a host of its own.
# tests/net2/run_raw.sh BERTH musl RAW.C [CHECK]: built by musl's compiler first, static and dynamic.
set -u
berth=$(realpath "$1") what=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
BERTH_DIR=$work/b
export BERTH_DIR
if [ "$what" = musl ]; then
	command -v musl-gcc >/dev/null 2>&1 || { echo "skip: needs package musl-tools"; exit 77; }
	musl-gcc -static -o "$work/static" "$3" && musl-gcc -o "$work/dynamic" "$3" || exit 1
	shift 3
	timeout 60 "$berth" run -q -H raw -- "$work/static" "$@" || exit 1
	timeout 60 "$berth" run -q -H raw -- "$work/dynamic" "$@"
	exit
fi
program=$(realpath "$what")
shift 2
timeout 100 "$berth" run -q -H raw -- "$program" "$@"
