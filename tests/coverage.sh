#!/bin/sh
# coverage.sh - which lines and branches of the library the tests run through.
#
#   tests/coverage.sh
#
# Installs what is missing, builds build-tests/coverage with gcov's counters, runs every test in it, and prints a table
# of the layers and the lines that no test reached. Fails where a layer has less than it must (tests/coverage.py).
# The counters make the kernels slow.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. scripts/packages.sh
. scripts/build_folder.sh

folder=build-tests/coverage
export LC_ALL=C.UTF-8
unset GPT2_MODEL GPT2_CPU

need_packages gcc g++ libc6-dev binutils meson ninja-build pkg-config libjansson-dev libcmocka-dev \
  libopenblas-dev gcovr || exit 1
build_is_ours "$folder" . ||
  set_up_build "$folder" . -Dbuildtype=debug -Doptimization=1 -Db_coverage=true -Dtests=true || exit 1
ninja -C "$folder" || exit 1

# Counts add up over the runs of a program: what an earlier build counted goes.
find "$folder" -name '*.gcda' -delete
meson test -C "$folder" --no-rebuild --timeout-multiplier 20 || exit 1
gcovr --root . --filter src/ --exclude-unreachable-branches --json "$folder/coverage.json" "$folder" &&
  python3 tests/coverage.py "$folder/coverage.json" docs/testing.md
