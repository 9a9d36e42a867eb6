#!/bin/sh
# tools/tidy.sh: clang-tidy over src/, by .clang-tidy, four lines for each finding.
set -eu
cd "$(dirname "$0")/.."
tool=clang-tidy-14
command -v $tool >/dev/null 2>&1 || tool=clang-tidy
[ -f build-clang/build.ninja ] || CC=clang meson setup build-clang -Dtests=false -Dbench=false >/dev/null
# The tables are generated, and only data.
find src -name '*.c' ! -name service_data.c ! -name named_data.c -print0 | xargs -0 -n 4 -P "$(nproc)" $tool --quiet -p build-clang
