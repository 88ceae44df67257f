#!/bin/sh
# run.sh - runs fuzzers for long: installs what is missing, builds, and looks for inputs that break the library.
#
#   tests/fuzz/run.sh [FUZZER...] [-- OPTIONS OF libFuzzer]
#
# All of them, or those that are named, one after another, each until it has run 10 million inputs, or for an hour,
# whatever comes first: -- -runs=N and -max_total_time=SECONDS say otherwise. They begin with the committed corpus and
# with what earlier runs have found, and keep below build-tests/fuzz/found/FUZZER
#
#   corpus/      inputs that reach what no other has reached
#   findings/    inputs that broke something: crash-..., leak-..., timeout-..., oom-...
#   log          what libFuzzer said last
#
# At the end it tells, for each, how many inputs were run, how many in a second, how much was reached, and what was
# found. The exit status is 0 if that is nothing.
set -u
folder=$(dirname "$(readlink -f "$0")")
cd "$folder/../.." || exit 1
. tests/fuzz/options.sh

fuzzers=
while test $# -gt 0; do
  word=$1
  shift
  case $word in
    --) break ;;
    *) fuzzers="$fuzzers $word" ;;
  esac
done

all=$(cd tests/fuzz/corpus && echo *)
for fuzzer in $fuzzers; do
  test -d "tests/fuzz/corpus/$fuzzer" || { echo "no such fuzzer: $fuzzer; there are: $all" >&2; exit 1; }
done
tests/run.sh --build fuzz || exit 1

table='' failed=0
for fuzzer in ${fuzzers:-$all}; do
  found=build-tests/fuzz/found/$fuzzer
  mkdir -p "$found/corpus" "$found/findings"
  echo "fuzzing $fuzzer; what it says goes to $found/log"
  started=$(date +%s)
  # shellcheck disable=SC2046
  build-tests/fuzz/tests/fuzz/fuzz_"$fuzzer" $(fuzz_options tests/fuzz "$fuzzer") -artifact_prefix="$found/findings/" \
    -runs=10000000 -max_total_time=3600 "$@" "$found/corpus" "tests/fuzz/corpus/$fuzzer" > "$found/log" 2>&1
  status=$?
  seconds=$(($(date +%s) - started))
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")
  reached=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$found/log" | tail -n 1)
  words=nothing
  if test "$status" -ne 0; then
    failed=1
    words=$(sed -n 's/.*Test unit written to //p' "$found/log")
  fi
  table="$table$(printf '%-16s %12s %8s %10s %10s  %s' "$fuzzer" "${executions:-0}" "$seconds" \
    $((${executions:-0} / (seconds + 1))) "${reached:-0}" "${words:-status $status}")
"
done
printf '%-16s %12s %8s %10s %10s  %s\n' fuzzer executions seconds 'a second' reached found
printf '%s' "$table"
exit "$failed"
