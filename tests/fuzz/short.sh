#!/bin/sh
# short.sh - a short run of one fuzzer over its corpus and beyond, told in TAP.
#
#   short.sh PROGRAM FOLDER NAME     FOLDER is this one; NAME the fuzzer's
#
# It fails with fewer than 10,000 executions, too.
set -u
program=$1 folder=$2 name=$3
. "$folder/options.sh"

least=10000
found=$(mktemp -d) || exit 1
trap 'rm -rf "$found"' EXIT
mkdir "$found/corpus"

# What libFuzzer says goes to standard error; the last words of a failure are what matters.
# shellcheck disable=SC2046
"$program" $(fuzz_options "$folder" "$name") -runs=$((least + least / 10)) -artifact_prefix="$found/" \
  "$found/corpus" "$folder/corpus/$name" > "$found/log" 2>&1
status=$?
executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/log")
n_corpus=$(find "$folder/corpus/$name" -type f | wc -l)

echo '1..2'
if test "$status" -eq 0; then
  echo "ok 1 - $name: nothing is found (seed $(sed -n 's/^INFO: Seed: //p' "$found/log"))"
else
  echo "not ok 1 - $name: ends with status $status"
  grep -v '^#[0-9]' "$found/log" | tail -n 60 >&2
  for input in "$found"/*-*; do
    test -f "$input" && echo "# $(basename "$input") in base64: $(base64 -w 0 "$input")"
  done
fi
if test "${executions:-0}" -ge "$least" && test "$n_corpus" -gt 0; then
  echo "ok 2 - $name: $executions executions, which began with the $n_corpus inputs of the corpus"
else
  status=1
  echo "not ok 2 - $name: ${executions:-0} executions, which began with $n_corpus inputs; $least are the least"
fi
exit "$status"
