#!/bin/sh
# tests/outside/run_outside.sh BERTH OUTSIDE STATIC [CHECK]: outside.c on Linux itself, under berth, and static.
set -u
. "$(dirname "$0")/worlds.sh"
berth=$(realpath "$1") program=$(realpath "$2") static=$(realpath "$3")
shift 3
port=7777 failed=0
serve_there "$work/there" "$program" serve $port
serve_here "$work/here" "$program" serve $port
until_ok test -s "$work/there"
until_ok test -s "$work/here"
checks() # name, command...
{
	echo "--- $1"
	shift
	timeout 60 "$@" || { echo "FAIL: status $?"; failed=1; }
}
checks "on Linux itself" "$program" 198.51.100.2 2001:db8:77::2 $port "$@"
checks "under berth" "$berth" run -q -H web -- "$program" 198.51.100.2 2001:db8:77::2 $port "$@"
checks "under berth, static" "$berth" run -q -H web -- "$static" 198.51.100.2 2001:db8:77::2 $port "$@"
if [ $# -eq 0 ]; then
	echo "--- the supervisor that relays a connection is killed"
	timeout 60 "$berth" run -q -H web -- "$program" orphan 198.51.100.2 $port || { echo "FAIL: status $?"; failed=1; }
fi
exit $failed
