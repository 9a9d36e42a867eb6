#!/bin/sh
# tests/system/demo.sh BUILD: `make demo` says what README shows, twice at the same time, leaves
# nothing, and notices when something is wrong.
set -u
cd "$(dirname "$0")/../.."
build=$(cd "$1" && pwd)
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

# Two at once: each has a folder of its own, so they do not meet.
mkdir "$scratch/tmp"
TMPDIR=$scratch/tmp tools/demo.sh "$build" >"$scratch/one" 2>&1 &
one=$!
TMPDIR=$scratch/tmp tools/demo.sh "$build" >"$scratch/two" 2>&1
two_code=$?
wait $one
one_code=$?
check "the demo succeeds" [ $one_code = 0 ]
check "a second one at the same time does, too" [ $two_code = 0 ]
[ $one_code = 0 ] || cat "$scratch/one"
[ $two_code = 0 ] || [ $one_code != 0 ] || cat "$scratch/two"
check "both pages arrived" grep -qx 'the page of web' "$scratch/one"
check "both pages arrived" grep -qx 'the page of api' "$scratch/one"
check "the refusal names the holder's process" grep -Eq 'pid [0-9]+' "$scratch/one"
check "the refusal is EADDRINUSE" grep -q 'Errno 98' "$scratch/one"
check "nothing is left in the temporary folder" [ -z "$(ls -A "$scratch/tmp")" ]

# A demo that cannot fail shows nothing: with a berth that does not do its job it must say so.
mkdir -p "$scratch/broken/src/cli"
printf '#!/bin/sh\ncase $1 in who) exit 0 ;; run) while [ "$1" != -- ]; do shift; done; shift; echo nothing ;; esac\n' \
	>"$scratch/broken/src/cli/berth"
chmod +x "$scratch/broken/src/cli/berth"
TMPDIR=$scratch/tmp tools/demo.sh "$scratch/broken" >"$scratch/three" 2>&1
check "a berth that does nothing is noticed" [ $? -ne 0 ]
exit $failed
