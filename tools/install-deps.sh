#!/bin/sh
# Installs what a set of make targets needs and this machine lacks: Debian and Ubuntu, by apt-get.
#
#     tools/install-deps.sh [--list] SET...        sets: build demo check test tidy bench ways cpython package programs
#
# Calls no apt at all when everything is there. Says what it installs before it does. Packages that
# bring servers do not start them: a policy-rc.d guard stands in the way while apt runs, and the units
# that came with them are disabled again. BERTH_NO_INSTALL=1: only say what is missing.
#
# Exit code: 0, all there; 1, something is missing and could not be installed (named on stderr).
set -eu

say() { echo "install-deps: $*"; }

# Alternatives are written a|b: the first that is installed, else the first that this release has.
packages_of() {
	case $1 in
	build) echo gcc libc6-dev meson ninja-build pkg-config\|pkgconf libjansson-dev libinih-dev libcsv-dev libmnl-dev scdoc python3 ;;
	demo) echo python3 curl ;;
	check) echo libcmocka-dev clang-format-14\|clang-format binutils netbase ;;
	test) # clang's runtime has the version in its name; see clang_runtime()
		echo clang @clang-runtime libcmocka-dev clang-format-14\|clang-format \
			man-db groff zsh fish bash-completion libc6-dev musl-tools busybox-static golang-go curl netcat-openbsd redis-server nginx\|nginx-light apache2-utils iproute2 util-linux procps binutils netbase python3-pytest z3 \
			nodejs iperf3 nmap tshark traceroute iputils-ping bind9-dnsutils dnsmasq-base redis-tools default-jdk-headless chromium\|chromium-browser
		case $(dpkg --print-architecture) in
		amd64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;;
		esac ;;
	tidy) echo clang-tidy-14\|clang-tidy ;;
	bench) echo liblwip-dev nginx\|nginx-light wrk redis-server redis-tools postgresql postgresql-contrib apache2-utils strace iproute2 util-linux ;;
	ways) echo passt slirp4netns rootlesskit uidmap iproute2 util-linux ;;
	cpython) echo python3.11 libpython3.11-testsuite iproute2 util-linux ;;
	package) echo debhelper devscripts lintian dpkg-dev util-linux ;;
	# the rows know best
	programs) "$(dirname "$0")/../tests/programs/run" --packages ;;
	*)
		echo "install-deps: no such set: $1 (build, demo, check, test, tidy, bench, ways, cpython, package, programs)" >&2
		return 1 ;;
	esac
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
available() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *//p' | grep -v '^(none)$')" ]; }

# libFuzzer and the sanitizers: libclang-rt-N-dev, or inside libclang-common-N-dev in older releases.
clang_runtime() {
	n=$(clang --version 2>/dev/null | sed -n '1s/.*version \([0-9][0-9]*\)\..*/\1/p')
	if [ -z "$n" ]; then
		n=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1)
	fi
	if [ -n "$n" ]; then
		echo "libclang-rt-$n-dev|libclang-common-$n-dev"
	fi
}

list_only=no
if [ "${1:-}" = --list ]; then
	list_only=yes
	shift
fi
wanted=
for set in "$@"; do
	wanted="$wanted $(packages_of "$set")"
done

if ! command -v dpkg-query >/dev/null 2>&1; then
	say "not a Debian system, so nothing is installed; needed: $wanted"
	exit 0
fi

# What is missing, with alternatives not yet decided.
missing=
for p in $wanted; do
	if [ "$p" = @clang-runtime ]; then
		p=$(clang_runtime)
		# clang itself is not known before the lists are there: decided after the update
		[ -n "$p" ] || p=@clang-runtime
	fi
	found=no
	for alternative in $(echo "$p" | tr '|' ' '); do
		if installed "$alternative"; then
			found=yes
			break
		fi
	done
	[ $found = yes ] || case " $missing " in *" $p "*) ;; *) missing="$missing $p" ;; esac
done
missing=${missing# }
if [ $list_only = yes ]; then
	[ -z "$missing" ] || echo "$missing"
	exit 0
fi
[ -n "$missing" ] || exit 0
if [ -n "${BERTH_NO_INSTALL:-}" ]; then
	say "missing, and BERTH_NO_INSTALL is set: $missing" >&2
	exit 1
fi

root=
if [ "$(id -u)" != 0 ]; then
	root=sudo
	[ -t 0 ] || root="sudo -n" # nobody there to type a password
	if command -v sudo >/dev/null 2>&1 && $root true 2>/dev/null; then
		say "uses sudo to install: $missing"
	else
		say "missing: $missing. Install them as root: apt-get install $(echo "$missing" | sed 's/|[^ ]*//g')" >&2
		exit 1
	fi
fi

# The lists are fetched when a wanted package is not in them.
need_update=no
for p in $missing; do
	known=no
	for alternative in $(echo "$p" | tr '|' ' '); do
		if available "$alternative"; then
			known=yes
			break
		fi
	done
	[ $known = yes ] || need_update=yes
done
if [ $need_update = yes ]; then
	say "fetching the package lists (apt-get update)"
	$root apt-get update -qq </dev/null || say "apt-get update failed; going on with the lists that are there" >&2
fi

chosen=
absent=
for p in $missing; do
	[ "$p" != @clang-runtime ] || p=$(clang_runtime)
	found=
	for alternative in $(echo "$p" | tr '|' ' '); do
		if available "$alternative"; then
			found=$alternative
			break
		fi
	done
	if [ -n "$found" ]; then
		chosen="$chosen $found"
	else
		absent="$absent ${p:-clang-runtime}"
	fi
done
chosen=${chosen# }
if [ -n "$chosen" ]; then
	say "installing: $chosen"
	units_before=$(ls /lib/systemd/system /usr/lib/systemd/system 2>/dev/null | sort -u)
	policy=/usr/sbin/policy-rc.d
	kept=
	restore() {
		$root rm -f $policy
		[ -z "$kept" ] || $root mv "$kept" $policy
	}
	if [ -e $policy ]; then
		kept=$policy.kept-by-berth
		$root mv $policy $kept
	fi
	trap 'restore' EXIT
	trap 'exit 1' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
	$root chmod 755 $policy
	log=$(mktemp)
	if ! $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 $chosen </dev/null >"$log" 2>&1; then
		say "apt-get install failed:" >&2
		tail -n 20 "$log" >&2
		rm -f "$log"
		exit 1
	fi
	rm -f "$log"
	restore
	trap - EXIT INT TERM HUP
	if command -v systemctl >/dev/null 2>&1; then
		for unit in $(ls /lib/systemd/system /usr/lib/systemd/system 2>/dev/null | sort -u); do
			case $unit in *@.service | *.target) continue ;; *.service | *.socket) ;; *) continue ;; esac
			printf '%s\n' "$units_before" | grep -qxF "$unit" && continue
			$root systemctl disable --quiet "$unit" >/dev/null 2>&1 || :
		done
	fi
fi
if [ -n "$absent" ]; then
	say "this release has no package for: $absent" >&2
	exit 1
fi
