#!/bin/sh
# corpus.sh - makes the committed corpora anew: of the seeds (seeds.py), of the present corpora, and of what
# tests/fuzz/run.sh has found, the fewest inputs that reach as much.
#
#   tests/fuzz/corpus.sh [FUZZER...]
set -eu
folder=$(dirname "$(readlink -f "$0")")
cd "$folder/../.."
. tests/fuzz/options.sh

tests/run.sh --build fuzz
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
python3 tests/fuzz/seeds.py "$temporary/seeds"
if test $# -eq 0; then
  # shellcheck disable=SC2046
  set -- $(cd "$temporary/seeds" && echo *)
fi

for fuzzer; do
  corpus=tests/fuzz/corpus/$fuzzer found=build-tests/fuzz/found/$fuzzer/corpus
  mkdir -p "$corpus" "$found" "$temporary/$fuzzer"
  # Counters tell how often something was reached, which would make corpora many times as large.
  # shellcheck disable=SC2046
  build-tests/fuzz/tests/fuzz/fuzz_"$fuzzer" $(fuzz_options tests/fuzz "$fuzzer") -use_counters=0 -merge=1 \
    "$temporary/$fuzzer" "$temporary/seeds/$fuzzer" "$corpus" "$found" > "$temporary/log" 2>&1 || {
    cat "$temporary/log"
    exit 1
  }
  rm -r "$corpus"
  cp -r "$temporary/$fuzzer" "$corpus"
  echo "$fuzzer: $(find "$corpus" -type f | wc -l) inputs of $(cat "$corpus"/* | wc -c) bytes"
done
