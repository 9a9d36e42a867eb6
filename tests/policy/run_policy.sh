#!/bin/sh
# tests/policy/run_policy.sh BERTH WAYS STATIC PYTHON: what may leave, by every way there is (ways.c), of a program that loads the
# library and of a static one. Port 7000 over there may be reached and 7001 not; at 7001 must nothing arrive.
set -u
. "$(dirname "$0")/../outside/worlds.sh"
berth=$(realpath "$1") ways=$(realpath "$2") static=$(realpath "$3")
there4=198.51.100.2 there6=2001:db8:77::2
failed=0
fail() { echo "FAIL: $*"; failed=1; }

for port in 7000 7001; do
	serve_there "$work/there.$port" "$ways" serve $port
	serve_here "$work/here.$port" "$ways" serve $port
done
for port in 7000 7001; do
	until_ok test -s "$work/there.$port"
	until_ok test -s "$work/here.$port"
done
n_ways=$("$ways" try $there4 $there6 7000 7000 | wc -l)
[ "$n_ways" -ge 25 ] || fail "only $n_ways ways"

# each NAME RESULT COMMAND...: every way's result is this one, and port 7001 has heard of it or has not.
each()
{
	name=$1 want=$2
	shift 2
	before=$(wc -l <"$work/there.7001")
	timeout 100 "$@" >"$work/out" 2>"$work/err" || fail "$name: status $?"
	sleep 0.2
	after=$(wc -l <"$work/there.7001")
	grep -v " $want\$" "$work/out" && fail "$name"
	[ "$(wc -l <"$work/out")" = "$n_ways" ] || fail "$name: $(wc -l <"$work/out") of $n_ways ways"
	if [ "$want" = ok ]; then
		[ "$after" -ge $((before + n_ways)) ] || fail "$name: $((after - before)) of $n_ways arrived"
	else
		[ "$after" = "$before" ] || fail "$name: $((after - before)) arrived: $(tail -n $((after - before)) "$work/there.7001")"
	fi
	echo "$name: $want"
}
allow="--allow $there4:7000 --allow $there4:1 --allow [$there6]:7000"
deny="--deny $there4:7001 --deny [$there6]:7001"

each "on Linux itself" ok "$ways" try $there4 $there6 7000 7001
for program in "$ways" "$static"; do
	kind=dynamic
	[ "$program" = "$static" ] && kind=static
	try="$program try $there4 $there6 7000 7001"
	"$berth" net rm -f lab >/dev/null 2>&1
	"$berth" net create lab >/dev/null || fail "net create"
	each "$kind, an open network" ok "$berth" run -q -n lab -- $try
	each "$kind, a run that allows another port" ENETUNREACH "$berth" run -q -n lab $allow -- $try
	each "$kind, a run that denies it" ECONNREFUSED "$berth" run -q -n lab $deny -- $try
	each "$kind, a run inside a run that allows it" ENETUNREACH \
		"$berth" run -q -n lab $allow -- "$berth" run -q -n lab --allow $there4 --allow $there6 -- $try
	each "$kind, a run inside a run that denies it" ECONNREFUSED \
		"$berth" run -q -n lab --open --allow $there4 -- "$berth" run -q -n lab $deny -- $try
	"$berth" net policy lab $deny >/dev/null || fail "net policy"
	each "$kind, a network that denies it" ECONNREFUSED "$berth" run -q -n lab --allow $there4 --allow $there6 -- $try
	"$berth" net policy lab --isolated $allow >/dev/null || fail "net policy"
	each "$kind, a closed network" ENETUNREACH "$berth" run -q -n lab -- $try
	each "$kind, a closed network, a run that allows it" ENETUNREACH "$berth" run -q -n lab --allow $there4 -- $try
done

# The machine itself, under its own address: 7000 allowed, 7001 not. And no way round it by another spelling.
"$berth" net rm -f lab >/dev/null
"$berth" net create lab --subnet 10.99.0.0/24 --allow gateway:7000 >/dev/null || fail "net create"
gateway6=$("$berth" net policy lab | sed -n 's/^  allow \[\(.*\)\]:7000$/\1/p')
cat >"$work/gateway.py" <<-'END'
	import errno, socket, sys
	def name(f):
	    try:
	        f()
	        return 'ok'
	    except OSError as e:
	        return errno.errorcode.get(e.errno, str(e))
	def tcp(family, address, port):
	    s = socket.socket(family)
	    s.settimeout(5)
	    s.connect((address, port))
	def udp(family, address, port):
	    socket.socket(family, socket.SOCK_DGRAM).sendto(b'gateway', (address, port))
	four, six = socket.AF_INET, socket.AF_INET6
	for port in 7000, 7001:
	    for family, address in (four, '10.99.0.1'), (six, '::ffff:10.99.0.1'), (six, sys.argv[1]), (four, 'gateway.berth'):
	        print(port, address, name(lambda: tcp(family, address, port)), name(lambda: udp(family, address, port)))
	# These mean the program's own host, where nobody listens: never the machine.
	for family, address in (four, '127.0.0.1'), (four, '0.0.0.0'), (six, '::1'), (six, '::'), (six, '::ffff:127.0.0.1'):
	    print('own', address, name(lambda: tcp(family, address, 7000)))
	for address in '255.255.255.255', '224.0.0.1':
	    print('many', address, name(lambda: tcp(four, address, 7001)))
END
before=$(cat "$work/here.7001")
timeout 60 "$berth" run -q -n lab -- python3 "$work/gateway.py" "$gateway6" >"$work/out" 2>&1 || fail "gateway.py: $(cat "$work/out")"
sleep 0.2
grep '^7000' "$work/out" | grep -v ' ok ok$' && fail "gateway.py, what stands above"
grep '^7001' "$work/out" | grep -v ' ENETUNREACH ENETUNREACH$' && fail "gateway.py, what stands above"
grep '^own' "$work/out" | grep -v ' ECONNREFUSED$' && fail "gateway.py, what stands above"
grep '^many' "$work/out" | grep -v ' ENETUNREACH$' && fail "gateway.py, what stands above"
[ "$(wc -l <"$work/out")" = 15 ] || fail "gateway.py: $(cat "$work/out")"
[ "$before" = "$(cat "$work/here.7001")" ] || fail "the machine's port 7001 was reached"
[ "$(wc -l <"$work/here.7000")" = 9 ] || fail "the machine's port 7000 was reached $(wc -l <"$work/here.7000") times, less one, of 8"
"$berth" ls --refused -n lab >"$work/out"
grep -q '^gateway:7001/tcp *local *python3 .* network: closed$' "$work/out" || fail "ls --refused: $(cat "$work/out")"
[ "$(grep -c '^gateway:7001/tcp *local *python3 ' "$work/out")" = 1 ] || fail "both families in a row: $(cat "$work/out")"
echo "the machine: done"

# A change holds for who is running, and connections that are there stay.
for program in "$ways" "$static"; do
	"$berth" net policy lab --open >/dev/null
	mkfifo "$work/input"
	timeout 60 "$berth" run -q -n lab -- "$program" watch $there4 7001 <"$work/input" >"$work/now" 2>&1 &
	watcher=$!
	exec 8>"$work/input"
	now() { until_ok sh -c "[ \"\$(tail -n 1 '$work/now')\" = 'now $1' ]" || fail "live: not $1: $(cat "$work/now")"; }
	now ok
	"$berth" net policy lab --isolated >/dev/null
	now ENETUNREACH
	"$berth" net policy lab --open --deny $there4:7001 >/dev/null
	now ECONNREFUSED
	"$berth" net policy lab --clear >/dev/null
	now ok
	"$berth" net policy lab --isolated >/dev/null
	now ENETUNREACH
	exec 8>&-
	wait $watcher
	[ "$(tail -n 1 "$work/now")" = kept ] || fail "live: the connection did not stay: $(cat "$work/now")"
	rm "$work/input"
done
"$berth" ls --refused -n lab --json >"$work/out"
python3 - "$work/out" <<-'END' || failed=1
	import json, sys
	rows = [r for r in json.load(open(sys.argv[1])) if r['address'] == '198.51.100.2']
	for by, rule, e in ('network', None, 'ENETUNREACH'), ('network', '198.51.100.2:7001', 'ECONNREFUSED'):
	    if not any(r['by'] == by and r['rule'] == rule and r['errno'] == e and r['count'] >= 1 for r in rows):
	        print('FAIL: ls --refused lacks', by, rule, e, rows)
	        sys.exit(1)
END
echo "a change while programs run: done"
exit $failed
