#!/bin/sh
# static_archive.sh - makes the static library: one object that shows nothing but gpt2_*.
#
#   static_archive.sh OUTPUT OBJCOPY AR COMPILER PRIVATE ARCHIVE...
#
# All of each ARCHIVE, and what it needs of the archive PRIVATE (which may be empty), become one relocatable object;
# then every other name is made local, so that a program that links it can have our internal names, and a BLAS, for
# itself.
set -eu

output=$1 objcopy=$2 ar=$3 compiler=$4 private=$5
shift 5
object=$output.o

# The compiler may be several words: ccache gcc -m64.
# shellcheck disable=SC2086
$compiler -r -nostdlib -o "$object" -Wl,--whole-archive "$@" -Wl,--no-whole-archive ${private:+"$private"}
"$objcopy" --localize-hidden --wildcard --keep-global-symbol='gpt2_*' "$object"
rm -f "$output"
"$ar" rcsD "$output" "$object"
rm -f "$object"
