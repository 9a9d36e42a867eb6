#!/bin/sh
# tests/system/package.sh: the Debian packages are built, lintian has no errors, and they work where they are installed: into an
# overlay of this machine's root, which nobody else sees, with dpkg. Takes one to two minutes; needs root.
set -u
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "not root: packages cannot be installed"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
check() { # what, command...
	what=$1
	shift
	if "$@" >"$scratch/said" 2>&1; then
		echo "ok: $what"
	else
		echo "FAIL: $what"
		head -n 20 "$scratch/said"
		failed=1
	fi
}
timeout 500 tools/package.sh "$scratch/out" >"$scratch/built" 2>&1
code=$?
[ $code != 77 ] || { cat "$scratch/built"; exit 77; }
check "dpkg-buildpackage" [ $code = 0 ]
[ $code = 0 ] || { cat "$scratch/built"; exit 1; }
for p in berth libberth-port1 libberth-port-dev libberth-stack1 libberth-stack-dev libberth-dhcp1 libberth-dhcp-dev; do
	check "there is a package $p" [ -n "$(ls "$scratch/out/${p}_"*.deb)" ]
done
if command -v lintian >/dev/null 2>&1; then
	check "lintian has no errors" timeout 200 lintian --allow-root --fail-on error "$scratch/out"/*.changes
else
	echo "skip lintian: not installed"
fi

# Inside: a root of our own. What is started there ends with it.
mkdir "$scratch/up" "$scratch/work" "$scratch/root"
cat >"$scratch/out/inside.sh" <<'INSIDE'
set -u
failed=0
check() {
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then
		echo "ok: $what"
	else
		echo "FAIL: $what"
		head -n 20 /tmp/said
		failed=1
	fi
}
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
unset LD_LIBRARY_PATH LD_PRELOAD
rm -f /usr/local/bin/berth
check "dpkg installs them" dpkg -i /mnt/berth_*.deb /mnt/libberth-port1_*.deb /mnt/libberth-port-dev_*.deb /mnt/libberth-stack1_*.deb /mnt/libberth-stack-dev_*.deb \
	/mnt/libberth-dhcp1_*.deb /mnt/libberth-dhcp-dev_*.deb
check "berth says the version that dpkg knows" sh -c 'berth version | grep -q "^berth $(dpkg-query -W -f "\${Version}" berth) "'
export BERTH_DIR=/tmp/berth
mkdir -m 700 "$BERTH_DIR"
cat >/tmp/server.py <<'PY'
import socket
s = socket.create_server(("", 80))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"the page")
    c.close()
PY
cat >/tmp/client.py <<'PY'
import socket, sys
sys.exit(socket.create_connection(("web", 80)).recv(100) != b"the page")
PY
mkfifo /tmp/ready
berth run -H web -- python3 /tmp/server.py >/tmp/ready 2>/tmp/server.err &
check "a server on port 80 of a host" [ "$(head -n 1 /tmp/ready)" = ready ]
check "and a client reaches it by name" berth run -- python3 /tmp/client.py
check "ls names it" sh -c "berth ls | grep -q '80 *http .*web *python3'"
check "the library is the installed one" sh -c 'berth run -- env | grep -qx "LD_PRELOAD=/usr/lib/[^ ]*/berth/libberth.so"'
check "installing again under a running server" dpkg -i /mnt/berth_*.deb
check "it goes on" berth run -- python3 /tmp/client.py
if id nobody >/dev/null 2>&1 && command -v setpriv >/dev/null 2>&1; then
	mkdir -m 700 /tmp/nobody
	chown nobody /tmp/nobody
	check "a user without rights has port 80, too" \
		env BERTH_DIR=/tmp/nobody setpriv --reuid nobody --clear-groups berth run -- python3 -c 'import socket; socket.create_server(("", 80))'
fi
if command -v man >/dev/null 2>&1; then
	for page in "1 berth" "1 berth-run" "1 berth-free" "5 berth.conf" "7 berth"; do
		check "man $page" [ -s "/usr/share/man/man${page%% *}/${page#* }.${page%% *}.gz" ]
	done
fi
if [ -f /usr/share/bash-completion/bash_completion ]; then
	check "bash loads its completion" bash --norc -c '. /usr/share/bash-completion/bash_completion; _completion_loader berth; complete -p berth | grep -q _berth'
fi
if command -v zsh >/dev/null 2>&1; then
	check "zsh finds its completion" zsh -f -c 'autoload -U compinit; compinit -u -D; [[ $_comps[berth] = _berth ]]'
fi
cat >/tmp/use.c <<'C'
#include <berth/port.h>
#include <stdio.h>
int main(void)
{
	struct berth_port p;

	if (berth_port_reserve(BERTH_PORT_TCP, 0, 0, &p, 1, NULL) != 0)
		return 1;
	printf("port %u\n", p.port);
	return 0;
}
C
if command -v cc >/dev/null 2>&1 && command -v pkg-config >/dev/null 2>&1; then
	check "a program is built with libberth-port" sh -c 'cc -o /tmp/use /tmp/use.c $(pkg-config --cflags --libs berth-port) && ldd /tmp/use'
	check "and uses the shared library" sh -c 'ldd /tmp/use | grep "libberth-port.so.1 => /" && /tmp/use | grep "^port "'
	check "and the static one" sh -c 'cc -o /tmp/static /tmp/use.c -l:libberth-port.a && /tmp/static | grep "^port "'
fi
dpkg -L berth libberth-port1 libberth-port-dev libberth-stack1 libberth-stack-dev libberth-dhcp1 libberth-dhcp-dev | sort -u >/tmp/list
check "dpkg removes them" dpkg -P libberth-dhcp-dev libberth-dhcp1 libberth-stack-dev libberth-stack1 libberth-port-dev libberth-port1 berth
left=$(while read -r f; do [ -d "$f" ] || [ ! -e "$f" ] || echo "$f"; done </tmp/list)
check "no file of theirs is left ($left)" [ -z "$left" ]
exit $failed
INSIDE
cat >"$scratch/enter.sh" <<'ENTER'
set -e
cd "$1"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" root 2>/dev/null || { echo "no overlay of this root can be mounted"; exit 77; }
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount --rbind /sys root/sys
mount -t tmpfs tmpfs root/tmp
mount -t tmpfs tmpfs root/run
mount --bind out root/mnt
exec chroot root sh /mnt/inside.sh
ENTER
if unshare -mpf --kill-child sh -c true 2>/dev/null; then
	timeout 200 unshare -mpf --kill-child sh "$scratch/enter.sh" "$scratch"
	code=$?
else
	code=77
fi
case $code in
0) ;;
77) echo "skip installing: no namespaces or no overlay here" ;;
*) failed=1 ;;
esac
exit $failed
