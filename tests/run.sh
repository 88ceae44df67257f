#!/bin/sh
# run.sh - runs every test, from nothing: installs what is missing, builds, tests, counts.
#
#   tests/run.sh [TEST...]    all tests, or those that are named: tests/run.sh tokenizer model
#   tests/run.sh --build NAME only builds one of the builds below
#
# What it builds stays in build-tests/, so a second time is quick:
#   sanitize   AddressSanitizer (with leaks) and UndefinedBehaviorSanitizer: every module
#   release    as users get it: every module, the tests of the house, and programs that use an installed library
#   threads    ThreadSanitizer: the modules that run threads
#   fuzz       clang, AddressSanitizer, UndefinedBehaviorSanitizer and libFuzzer: a short run of every fuzzer
# The last line is `N passed, N failed`; single tests are counted, once for each of these builds.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
. scripts/packages.sh
. scripts/build_folder.sh

builds='sanitize release threads fuzz'
export LC_ALL=C.UTF-8
unset GPT2_MODEL GPT2_CPU

# give_up WORDS...: what keeps the tests from running is a failure, too.
give_up() {
  echo "$*"
  echo '0 passed, 1 failed'
  exit 1
}

options() {
  case $1 in
    sanitize) echo -Dbuildtype=debug -Doptimization=1 -Db_sanitize=address,undefined ;;
    release) echo -Dbuildtype=release -Ddebug=true ;; # what abidw reads
    threads) echo -Dbuildtype=debug -Doptimization=1 -Db_sanitize=thread -Dprograms=false ;;
    fuzz) echo -Dbuildtype=debug -Doptimization=2 -Db_sanitize=address,undefined -Db_lundef=false -Dprograms=false \
      -Ddefault_library=static -Dtests=false -Dfuzzers=true ;;
  esac
}

# build NAME: configures it unless it is as it should be, and compiles. What is said goes to its log.
build() {
  folder=build-tests/$1
  log=build-tests/$1.log
  mkdir -p build-tests
  echo "building $folder"
  if test "$1" = fuzz; then
    export CC=clang # it is the last build
  fi
  if build_is_ours "$folder" .; then
    configure="meson configure $folder"
  else
    configure="set_up_build $folder ."
  fi
  # shellcheck disable=SC2046
  $configure -Dtests=true -Dwerror=true $(options "$1") > "$log" 2>&1 &&
    ninja -C "$folder" >> "$log" 2>&1 ||
    { grep -v '^\[[0-9]*/[0-9]*\] ' "$log"; give_up "$folder could not be built"; }
}

# Names them that are in no build; options of `meson test` are its own.
expect_tests() {
  listed=$(for name in $builds; do meson test -C "build-tests/$name" --no-rebuild --list 2>/dev/null; done | sed 's|^.* / ||')
  for test in "$@"; do
    case $test in
      -*) continue ;;
    esac
    printf '%s\n' "$listed" | grep -qxF -- "$test" ||
      give_up "no such test: $test (meson test -C build-tests/release --list tells their names)"
  done
}

need_packages gcc g++ cmake libc6-dev binutils meson ninja-build pkg-config libjansson-dev libcmocka-dev \
  libopenblas-dev libopenblas-serial-dev libopenblas0-pthread \
  scdoc man-db mandoc bash bash-completion zsh doxygen \
  abigail-tools checksec clang libclang-rt-dev llvm ||
  give_up 'What the tests need could not be installed'

if test "${1-}" = --build; then
  case " $builds " in
    *" ${2-} "*) build "$2" && exit ;;
  esac
  give_up "no such build: ${2-}; there are: $builds"
fi
for name in $builds; do
  build "$name"
done
test "$#" -eq 0 || expect_tests "$@"
logs=
for name in $builds; do
  echo "testing build-tests/$name"
  tested=build-tests/$name/meson-logs/testlog.json
  rm -f "$tested"
  # How it went is in the log, which the report reads. Of all tests each build has some, of those named perhaps none.
  meson test -C "build-tests/$name" --no-rebuild --timeout-multiplier 3 "$@" > "build-tests/$name.log" 2>&1
  if test "$#" -eq 0 || test -f "$tested"; then
    logs="$logs $tested"
  fi
done

# shellcheck disable=SC2086
python3 tests/report.py $logs
