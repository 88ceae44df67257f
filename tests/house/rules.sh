#!/bin/sh
# rules.sh - that source.sh notices: one violation of each rule is planted in a copy of src/base, and must be told.
#
#   rules.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
. tests/house/tap.sh

copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy/tests" "$copy/scripts" "$copy/examples" "$copy/src/generate" "$copy/src/model"
cp -R include "$copy/" && cp -R tests/house "$copy/tests/" && cp -R src/base src/meson.build "$copy/src/" &&
  touch "$copy/src/generate/sampler.h" "$copy/src/model/model.h" || exit 1

# planted FILE TEXT: the report on the copy with TEXT added to the end of FILE; afterwards the copy is intact again.
planted() {
  mkdir -p "$copy/$(dirname "$1")"
  test ! -f "$copy/$1" || cp "$copy/$1" "$copy/intact"
  printf '%b\n' "$2" >> "$copy/$1"
  sh tests/house/source.sh "$copy" > "$copy/report"
  rm "$copy/$1"
  test ! -f "$copy/intact" || mv "$copy/intact" "$copy/$1"
}

# told RULE FILE: whether the check whose name begins with RULE failed and named the file.
told() {
  sed -n "/^not ok [0-9]* - $1/,/^\(not \)\{0,1\}ok/p" "$copy/report" | grep -q "^# $2"
}

# notices RULE FILE TEXT, accepts RULE FILE TEXT: what is planted is told, and is not.
notices() {
  planted "$2" "$3"
  told "$1" "$2" || { cat "$copy/report"; return 1; }
}

accepts() {
  planted "$2" "$3"
  grep -q "ok [0-9]* - $1" "$copy/report" && ! told "$1" "$2" || { cat "$copy/report"; return 1; }
}

blank_lines() {
  yes '\n' | head -n "$1" | tr -d '\n'
}

error=src/base/error.c
check 'calls are found' notices 'nothing that prints' $error 'void f(void) { printf ("x"); }'
check 'the end of the process is found' notices 'nothing that prints' $error 'void f(void) { abort(); }'
check 'the locale is found' notices 'nothing that prints' $error 'double f(const char *s) { return strtod(s, 0); }'
check 'a name that only ends like a forbidden one is allowed' accepts 'nothing that prints' $error 'void f(void) { my_abort(); }'
check 'a forbidden name in a comment or a string is allowed' accepts 'nothing that prints' $error '/* abort() */ char *s = "exit(1)";'
check 'standard streams are found' notices 'nothing is written' $error 'void *f = stderr;'
check 'the environment is found' notices 'the environment' $error 'char *f(void) { return getenv("X"); }'
check 'float formats are found' notices 'no float' $error 'const char *f = "%%d of %%5.2f";'
check 'an include of a higher layer is found' notices 'a layer' $error '#include "model/model.h"'
check 'an include of a file that is not there is found' notices 'a layer' $error '#include "base/nothing.h"'
check 'an include of a layer beside is found' notices 'a layer' src/train/new.c '#include "generate/sampler.h"'
check 'the BLAS is found' notices 'only kernels' $error '#include <cblas.h>'
check 'a long function is found' notices 'files have' $error "void f(void)\n{$(blank_lines 60)}"
check 'a function of the greatest length is allowed' accepts 'files have' $error "void f(void)\n{$(blank_lines 59)}"
check 'a long file is found' notices 'files have' $error "$(blank_lines 400)"
check 'a missing opening comment is found' notices 'every file opens' src/base/new.c 'int x;'
check 'a file that is not built is found' notices 'every file is in the build' src/base/new.c '/* new.c - x. */'
check 'a test that is not run is found' notices 'every file is in the build' tests/test_new.c '/* test_new.c - x. */'
check 'a missing guard is found' notices 'every header is guarded' src/base/new.h '/* new.h - x. */'
check 'a tab is found' notices 'no line has tabs' $error '\tint x;'
check 'a blank at the end of a line is found' notices 'no line has tabs' $error 'int x; '
check 'a line that is too wide is found' notices 'no line of C' $error "/* $(printf '%095d' 0) */"
check 'a line of the greatest width is allowed, whatever its bytes' accepts 'no line of C' $error "/* $(printf '%093d' 0)\0303\0251 */"
finish
