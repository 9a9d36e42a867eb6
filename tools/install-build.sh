#!/bin/sh
# tools/install-build.sh PREFIX: a release build, installed. DESTDIR is honoured.
# tools/install-build.sh --uninstall: remove what the last one put there, and name it.
# Files are replaced by new ones, never written into: programs that run keep the library they mapped.
set -eu
cd "$(dirname "$0")/.."
log=build-install/meson-logs/install-log.txt
if [ "$1" = --uninstall ]; then
	if [ ! -f $log ]; then
		echo "uninstall: build-install/ does not know of an installation ('make install' writes $log)" >&2
		exit 1
	fi
	# Files first, then the folders that are empty; what others put there stays.
	grep -v '^#' $log | while IFS= read -r path; do
		if [ -L "$path" ] || [ -f "$path" ]; then
			rm -f "$path"
			echo "$path"
		fi
	done
	grep -v '^#' $log | sed 's#/[^/]*$##' | sort -ru | while IFS= read -r folder; do
		while case $folder in *berth*) rmdir "$folder" 2>/dev/null ;; *) false ;; esac; do
			echo "$folder/"
			folder=${folder%/*}
		done
	done
	rm -f $log
	exit 0
fi
prefix=$1
if [ -f build-install/build.ninja ]; then
	meson configure build-install --prefix="$prefix"
else
	meson setup build-install --prefix="$prefix" --buildtype=release -Dtests=false -Dbench=false >/dev/null
fi
ninja -C build-install --quiet
meson install -C build-install --no-rebuild
