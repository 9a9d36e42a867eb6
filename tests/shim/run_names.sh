#!/bin/sh
# run_names.sh NAMES LAUNCH LIBRARY [CHECK]: names.c on host "one" of a network that also has "two", once with and once
# without /etc/services; then what languages' own resolvers make of the network's names. A program that is not
# installed is skipped by name.
set -u
names=$(realpath "$1") launch=$(realpath "$2") library=$(realpath "$3")
shift 3
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
BERTH_DIR=$dir/b
export BERTH_DIR
"$launch" -e names one >"$dir/one" || exit 1
"$launch" -e names two >"$dir/two" || exit 1
printf '# names of this network\nberthly\t7777/tcp\n' >"$BERTH_DIR/names/services"
failed=0
on() { timeout 60 "$launch" names one "$library" "$@"; }
on "$names" "$@" || failed=1
[ $# -eq 0 ] || exit $failed

# A folder of our own in the place of /etc, for this one program.
mkdir "$dir/etc"
cp /etc/nsswitch.conf /etc/passwd /etc/group /etc/ld.so.cache /etc/protocols "$dir/etc/" 2>/dev/null
printf '127.0.0.1 localhost\n127.0.1.1 debian-style\n192.0.2.77 elsewhere two\n' >"$dir/etc/hosts"
sed -i 's/^hosts:.*/hosts: files/' "$dir/etc/nsswitch.conf"
etc() { timeout 60 unshare -m sh -c 'mount --bind "$0" /etc && exec "$@"' "$dir/etc" "$launch" names one "$library" "$@"; }
if unshare -m mount --bind "$dir/etc" /etc 2>/dev/null; then
	etc "$names" --no-services "names of ports" || failed=1
else
	echo "skipped: no right to mount: nothing is tried without /etc/services"
fi

is() { # what, wanted, got
	if [ "$2" = "$3" ]; then echo "ok: $1"; else
		echo "FAIL: $1: wanted '$2', got '$3'"; failed=1
	fi
}
need() {
	command -v "$1" >/dev/null 2>&1 && return 0
	echo "skipped: $1 is not installed (package $2)"
	return 1
}
read -r two4 two6 <"$dir/two"
if unshare -m mount --bind "$dir/etc" /etc 2>/dev/null && need getent libc-bin; then
	is "/etc/hosts: 127.0.1.1 as Debian has it" "127.0.1.1 debian-style" "$(etc getent ahostsv4 debian-style | awk 'NR==1{print $1, $3}')"
	is "/etc/hosts: an address of no host still resolves" "192.0.2.77" "$(etc getent ahostsv4 elsewhere | awk 'NR==1{print $1}')"
	is "a host of the network stands before /etc/hosts" "$two4" "$(etc getent ahostsv4 two | awk 'NR==1{print $1}')"
	is "127.0.1.1 to a name" "debian-style" "$(etc getent hosts 127.0.1.1 | awk '{print $2}')"
fi
if need getent libc-bin; then
	is "getent hosts" "$two6 two two.names.berth" "$(on getent hosts two | tr -s ' ')"
	is "getent hosts ADDRESS" "$two4 two two.names.berth" "$(on getent hosts "$two4" | tr -s ' ')"
	is "getent ahosts" "$two4 STREAM two" "$(on getent ahosts two | awk 'NR==1{print $1, $2, $3}')"
	is "getent services of the network's own" "berthly 7777/tcp" "$(on getent services berthly | tr -s ' ' | sed 's/ $//')"
	is "getent hosts lists the network" "one two" "$(on getent hosts | awk '{print $2}' | head -2 | tr '\n' ' ' | sed 's/ $//')"
fi
py=
for p in /usr/bin/python3 python3; do command -v $p >/dev/null && { py=$p; break; }; done
if [ -n "$py" ]; then
	is "python: getaddrinfo" "$two4 $two6" "$(on $py -c 'import socket; print(*[a[4][0] for a in socket.getaddrinfo("two", 80, type=1)])')"
	is "python: getfqdn, gethostbyaddr" "two.names.berth two" "$(on $py -c "import socket; print(socket.getfqdn('$two4'), socket.gethostbyaddr('$two6')[0])")"
else
	echo "skipped: python3 is not installed (package python3)"
fi
if need perl perl; then
	is "perl: gethostbyname, getnameinfo" "$two4 two" "$(on perl -MSocket=:all -e 'my $a = gethostbyname("two"); my ($e, $h) = getnameinfo(pack_sockaddr_in(80, $a)); print inet_ntoa($a), " $h"')"
fi
if need node nodejs; then
	is "node: dns.lookup, lookupService" "$two4 two http" "$(on node -e 'const dns = require("dns"); dns.lookup("two", (e, a) => dns.lookupService(a, 80, (f, h, s) => console.log(a, h, s)))')"
	is "node: all of localhost" "127.0.0.1 ::1" "$(on node -e 'require("dns").lookup("app.localhost", {all: true}, (e, a) => console.log(...a.map(x => x.address)))')"
fi
if need java default-jre-headless && need javac default-jdk-headless; then
	cat >"$dir/Names.java" <<'END'
import java.net.*;
public class Names {
	public static void main(String[] a) throws Exception {
		InetAddress two = InetAddress.getByName("two");
		System.out.println(two.getHostAddress() + " " + InetAddress.getByAddress(two.getAddress()).getHostName() + " "
			+ InetAddress.getAllByName("two").length + " " + InetAddress.getLocalHost().getHostAddress());
	}
}
END
	(cd "$dir" && timeout 60 javac Names.java) || { echo "FAIL: java: Names.java is not compiled"; failed=1; }
	is "java: InetAddress, both ways, and the local host" "$two4 two 2 $(cut -d' ' -f1 "$dir/one")" \
		"$(on java -cp "$dir" Names)"
fi
if need go golang-go && need gcc gcc; then
	mkdir "$dir/go" && cat >"$dir/go/main.go" <<'END'
package main

// #include <unistd.h>
import "C"
import ("context"; "fmt"; "net")

func main() {
	C.getpid()
	a, e := net.DefaultResolver.LookupIPAddr(context.Background(), "two")
	h, f := net.LookupAddr(a[0].String())
	fmt.Println(a[0].String(), len(a), h[0], e, f)
}
END
	(cd "$dir/go" && HOME=$dir GO111MODULE=off timeout 200 go build -o ../gonames main.go) ||
		{ echo "FAIL: go with cgo: main.go is not built"; failed=1; }
	is "go with cgo" "$two4 2 two <nil> <nil>" "$(GODEBUG=netdns=cgo on "$dir/gonames")"
fi
exit $failed
