#!/bin/sh
# header.sh - the public header: alone in every language it promises, its example, its structs, its words.
#
#   header.sh SOURCE_ROOT LIBRARY_DIR MODEL CC CXX
set -u
source=$1 library=$2 model=$3 cc=$4 cxx=$5
cd "$source" || exit 1
. tests/house/tap.sh

temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
warnings='-Wall -Wextra -Wpedantic -Wshadow -Werror'

# alone COMPILER STANDARD LANGUAGE: the header and nothing before it, twice.
alone() {
  printf '#include <gpt2.h>\n#include <gpt2.h>\nint main(void) { return GPT2_OK; }\n' > "$temporary/alone.$3"
  # shellcheck disable=SC2086
  $1 "-std=$2" $warnings -Iinclude -fsyntax-only "$temporary/alone.$3"
}

# The program in the header's opening comment, compiled and run. What it prints is left in $temporary/story.
run_example() {
  sed -n '/^ \*     #include <gpt2.h>/,/^ \* The header goes/p' include/gpt2.h |
    sed -e '$d' -e 's/^ \*     //' -e 's/^ \*$//' > "$temporary/example.$3"
  # shellcheck disable=SC2086
  $1 "-std=$2" $warnings -Iinclude "$temporary/example.$3" -o "$temporary/example" -L"$library" -lgpt2 &&
    LD_LIBRARY_PATH=$library "$temporary/example" "$model" > "$temporary/story" &&
    test "$(wc -c < "$temporary/story")" -gt 200 || { cat "$temporary/story"; return 1; }
}

same_story() {
  run_example "$cc" c99 c && mv "$temporary/story" "$temporary/story.c" &&
    run_example "$cxx" c++17 cpp && cmp "$temporary/story" "$temporary/story.c"
}

example_refuses() {
  LD_LIBRARY_PATH=$library "$temporary/example" "$temporary/nowhere" > "$temporary/out" 2> "$temporary/words"
  test $? -eq 1 && test ! -s "$temporary/out" && grep -q "$temporary/nowhere" "$temporary/words" ||
    { cat "$temporary/out" "$temporary/words"; return 1; }
}

# These stand in arrays: their size can never change, and they have none in them.
elements='gpt2_blob gpt2_row gpt2_string gpt2_token_score'

structs() {
  awk -f tests/house/code.awk include/gpt2.h | awk -v elements=" $elements " -f tests/house/structs.awk
}

# Functions stand in paragraphs, one comment a paragraph.
undated() {
  awk 'BEGIN { RS = "" } /\nGPT2_API |^GPT2_API / && !/Since:[ *\n]+[0-9]+\.[0-9]+/' include/gpt2.h
}

version() {
  for part in MAJOR MINOR PATCH; do
    sed -n "s/^#define GPT2_VERSION_$part //p" include/gpt2.h
  done | paste -sd.
}

for standard in c99 c11 c17; do
  check "the header alone is clean as $standard" alone "$cc" "$standard" c
done
for standard in c++11 c++17 c++20; do
  check "the header alone is clean as $standard" alone "$cxx" "$standard" cpp
done
check 'the example in the header tells a story as C99, and the same one as C++17' same_story
check 'the example in the header tells which model it could not open' example_refuses
check 'structs begin with their size and hold only types of fixed width' nothing structs
check 'every function says since when it exists' nothing undated
check 'the header and meson.build name the same version' \
  equal "$(version)" "$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)"
check 'the header includes stddef.h and stdint.h only' \
  equal "$(awk -f tests/house/code.awk include/gpt2.h | sed -n 's/^#include //p' | paste -sd' ')" '<stddef.h> <stdint.h>'
finish
