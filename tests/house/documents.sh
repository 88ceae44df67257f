#!/bin/sh
# documents.sh - that the documents are true: the program in README.md runs, every file and function they name is
# there, and src/README.md names all of src/.
#
#   documents.sh SOURCE_ROOT LIBRARY_DIR MODEL CC
set -u
library=$2 model=$3 cc=$4
cd "$1" || exit 1
. tests/house/tap.sh

temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
documents='README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md src/README.md docs/*.md'

# The first C program in README.md, built with its own words: cc story.c $(pkg-config --cflags --libs gpt2).
readme_program() {
  sed -n '/^```c$/,/^```$/p' README.md | sed '1d;/^```$/,$d' > "$temporary/story.c"
  # shellcheck disable=SC2086
  $cc -std=c99 -Wall -Wextra -Wpedantic -Werror -Iinclude "$temporary/story.c" -o "$temporary/story" -L"$library" -lgpt2 &&
    (cd "$temporary" && LD_LIBRARY_PATH=$library ./story "$model") > "$temporary/told" &&
    grep -q 'there was a great forest' "$temporary/told" || { cat "$temporary/told"; return 1; }
}

# The files of src/ that the book has as "layer/file.c".
unnamed_sources() {
  (cd src && find . -mindepth 2 -name '*.[ch]' | sed 's|^\./||' | sort) | while read -r file; do
    grep -qF "\`$file\`" src/README.md || echo "src/README.md does not name $file"
  done
}

vanished_sources() {
  grep -oE '`[a-z]+/[a-z0-9_]+\.[ch]`' src/README.md | tr -d '`' | sort -u | while read -r file; do
    test -f "src/$file" || echo "src/README.md names $file, which is not there"
  done
}

# Links to files, relative to the document.
broken_links() {
  for document in $documents; do
    grep -oE '\]\([^)#]+' "$document" | sed 's/^](//' | grep -v '^https*:' | while read -r target; do
      test -e "$(dirname "$document")/$target" || echo "$document: $target is not there"
    done
  done
}

# untested_lines LANGUAGE FILE...: what docs/embedding.md shows in it and none of the programs of these tests has.
untested_lines() {
  sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" docs/embedding.md | grep -vE '^```|^$' > "$temporary/shown"
  shift
  test -s "$temporary/shown" || echo 'nothing is shown'
  cat "$@" > "$temporary/tested" && grep -vxF -f "$temporary/tested" "$temporary/shown"
}

untested() {
  untested_lines cmake tests/consumers/cmake/CMakeLists.txt tests/consumers/cmake-pkg-config/CMakeLists.txt
  untested_lines meson tests/consumers/meson/meson.build
  untested_lines cpp tests/consumers/cxx17.cpp
}

# A name followed by ( is a function's.
unknown_functions() {
  for document in $documents; do
    grep -oE 'gpt2_[a-z0-9_]+\(' "$document" | tr -d '(' | sort -u | while read -r name; do
      grep -qx "$name" tests/house/symbols.txt || echo "$document: there is no $name"
    done
  done
}

# The tests in docs/faults.md, as `program: name`.
unknown_tests() {
  grep -oE '`[a-z0-9_]+: [a-z0-9_]+`' docs/faults.md | tr -d '`:' | while read -r program name; do
    grep -qwF "$name" "tests/test_$program.c" || echo "docs/faults.md: tests/test_$program.c has no $name"
  done
}

version=$(sed -n "s/^  version: '\(.*\)',/\1/p" meson.build)

check 'the C program in README.md tells a story' readme_program
check 'the lines of CMake, meson and C++ in docs/embedding.md are those of programs that are tested' nothing untested
check 'src/README.md names every file of src/' nothing unnamed_sources
check 'src/README.md names no file that is not there' nothing vanished_sources
check 'links lead to files' nothing broken_links
check 'functions that the documents name exist' nothing unknown_functions
check 'tests that docs/faults.md names exist' nothing unknown_tests
check 'CHANGELOG.md knows this version' grep -q "^## $version\$" CHANGELOG.md
finish
