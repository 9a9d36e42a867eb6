#!/bin/sh
# A script that needs a server for a moment: a port that nobody else gets, until this script has ended ($$).
set -eu
PORT=$(berth free --with $$)

python3 -m http.server --bind 127.0.0.1 "$PORT" >/dev/null 2>&1 &
server=$!
trap 'kill $server' EXIT

tries=0
until python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$PORT/')" 2>/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 200 ] || { echo "the server did not come up"; exit 1; }
	sleep 0.05
done
echo "a server answered on a port that was free"
