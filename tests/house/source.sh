#!/bin/sh
# source.sh - what holds for every file of src/: layers, forbidden calls, lengths, opening comments.
#
#   source.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
. tests/house/tap.sh

# The layers, lowest first: a file includes its own layer and those before it. Those with a bar between them stand
# beside one another, and include each other never.
layers='base kernels formats tokenizer model generate|inspect|train'

sources=$(find src -name '*.[ch]' | sort)

# The code alone, without comments and without what is in strings; every line stays where it is.
code=$(mktemp -d) || exit 1
trap 'rm -rf "$code"' EXIT
for file in $sources; do
  mkdir -p "$code/$(dirname "$file")" && awk -f tests/house/code.awk "$file" > "$code/$file" || exit 1
done

# find_code PATTERN: where the code has it, beginning with a whole word.
find_code() {
  (cd "$code" && grep -rnE "(^|[^A-Za-z0-9_])($1)" src)
}

layer_number() {
  number=0
  for group in $layers; do
    number=$((number + 1))
    case "|$group|" in
      *"|$1|"*) echo "$number" && return ;;
    esac
  done
  echo 0
}

# Prints what is wrong with the file $1 of layer $2, number $3, including $4.
judge_include() {
  other=${4%%/*}
  test "$4" = gpt2.h && return
  test -f "src/$4" || echo "$1: \"$4\" is not a file below src/"
  test "$other" = "$2" && return
  other_number=$(layer_number "$other")
  test "$other_number" -gt 0 && test "$other_number" -lt "$3" || echo "$1: includes \"$4\""
}

wrong_includes() {
  for file in $sources; do
    own=${file#src/}
    own=${own%%/*}
    number=$(layer_number "$own")
    test "$number" -gt 0 || echo "$file: $own is no layer"
    for included in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
      judge_include "$file" "$own" "$number" "$included"
    done
  done
}

# included_elsewhere HEADER FILE: who else than this file includes a header of the system.
included_elsewhere() {
  grep -rn "^ *# *include *<$1>" src | grep -v "^$2:"
}

forbidden='printf|fprintf|vprintf|vfprintf|dprintf|vdprintf|puts|fputs|putchar|fputc|putc|perror|psignal'
forbidden="$forbidden|abort|exit|_exit|_Exit|quick_exit|atexit|on_exit|assert"
forbidden="$forbidden|setlocale|uselocale|newlocale|signal|sigaction|raise|kill|longjmp|siglongjmp|system|popen"
forbidden="$forbidden|strtod|strtof|strtold|atof|atoi|atol|scanf|sscanf|fscanf|strerror"
forbidden="$forbidden|rand|srand|random|srandom|drand48"
forbidden="$forbidden|alloca|__builtin_alloca|gets|strcpy|strcat|sprintf|vsprintf|strtok|asctime|ctime"

environment_elsewhere() {
  find_code '(getenv|secure_getenv|setenv|unsetenv|putenv|environ)\b' | grep -v '^src/base/cpu\.c:'
}

# printf writes the locale's decimal point.
float_formats() {
  grep -rnE '"[^"]*%[-+ #0-9.*]*[lL]?[aAeEfFgG][^"]*"' src
}

too_long() {
  for file in $sources; do
    case $file in
      */unicode_table.*) continue ;; # generated
    esac
    lines=$(wc -l < "$file")
    test "$lines" -le 400 || echo "$file: $lines lines"
    awk -v file="$file" -v most=60 -f tests/house/functions.awk "$code/$file"
  done
}

without_opening_comment() {
  for file in $sources; do
    read -r first < "$file"
    case $first in
      "/* ${file##*/} - "*) ;;
      *) echo "$file: $first" ;;
    esac
  done
}

unbuilt() {
  for file in $sources; do
    case $file in
      *.c) grep -q "'${file#src/}'" src/meson.build || echo "$file is not in src/meson.build" ;;
    esac
  done
  find tests -maxdepth 1 -name 'test_*.c' | sort | while read -r file; do
    name=${file#tests/test_}
    grep -q -e "^  '${name%.c}',\$" -e "'${file#tests/}'" tests/meson.build || echo "$file is not in tests/meson.build"
  done
}

# A header that is included once for each of several types takes its parameters back at its end.
unguarded() {
  for file in $sources; do
    case $file in
      *.h) ;;
      *) continue ;;
    esac
    [ "$(tail -n 1 "$file" | cut -d ' ' -f 1)" != '#undef' ] || continue
    guard=$(echo "${file#src/}" | tr 'a-z/.' 'A-Z__')
    grep -q "^#ifndef $guard\$" "$file" && grep -q "^#define $guard\$" "$file" || echo "$file: no guard $guard"
  done
}

untidy() {
  find src include tests examples scripts \( -name '*.[ch]' -o -name '*.sh' -o -name '*.build' \) -print0 |
    xargs -0 grep -nE "$(printf '\t')| +\$" /dev/null
}

too_wide() {
  find src include tests examples -name '*.[ch]' -print0 | LC_ALL=C.UTF-8 xargs -0 grep -nE '^.{101,}$' /dev/null
}

check 'a layer includes only itself and the layers below it' nothing wrong_includes
check 'only kernels/blas.c sees the BLAS' nothing included_elsewhere 'cblas\.h' src/kernels/blas.c
check 'nothing that prints, ends the process, or depends on the locale is called' nothing find_code "($forbidden) *\("
check 'nothing is written to the standard streams' nothing find_code '(stdout|stderr|stdin)\b'
check 'the environment is read only in base/cpu.c' nothing environment_elsewhere
check 'no float is printed with the decimal point of the locale' nothing float_formats
check 'files have at most 400 lines and functions at most 60' nothing too_long
check 'every file opens with its name and what it is for' nothing without_opening_comment
check 'every file is in the build' nothing unbuilt
check 'every header is guarded by its name' nothing unguarded
check 'no line has tabs or ends in blanks' nothing untidy
check 'no line of C has more than 100 columns' nothing too_wide
finish
