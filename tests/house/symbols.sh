#!/bin/sh
# symbols.sh - what the built library shows to the world, and what it takes from it.
#
#   symbols.sh SOURCE_ROOT NM OBJDUMP SHARED_LIBRARY STATIC_ARCHIVE system|private
#
# symbols.txt is the committed list of what is exported. Adding a function means adding a line; a line that goes
# breaks every program that was linked with it.
set -u
nm=$2 objdump=$3 shared=$(readlink -f "$4") archive=$(readlink -f "$5") blas=$6
cd "$1" || exit 1
. tests/house/tap.sh

export LC_ALL=C
committed=$(grep -v '^#' tests/house/symbols.txt)
declared=$(sed -n 's/^GPT2_API .*[ *]\(gpt2_[a-z0-9_]*\)(.*/\1/p' include/gpt2.h | sort)

exported() {
  "$nm" -D --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sort
}

versioned() {
  for name in $committed; do
    echo "$name@@GPT2_0"
  done
}

archived() {
  "$nm" -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort
}

undefined() {
  "$nm" -u "$archive" | awk 'NF == 2 && $1 ~ /[UwWvV]/ { print $2 }' | sed 's/^__\(.*\)_chk$/\1/' | sort -u
}

# What our own objects must not call; the source test reads the calls, this one what the compiler made of them.
taken() {
  undefined | grep -xE "$1"
}
printing='printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|fputc|putc|perror|stdout|stderr|stdin'
ending='abort|exit|_exit|_Exit|quick_exit|atexit|__assert_fail|raise|kill|longjmp|signal|sigaction|system'
locale='setlocale|uselocale|newlocale|strtod|strtof|strtold|atof|sscanf|__isoc99_sscanf|strerror'
other='rand|srand|random|gets|strcpy|strcat|sprintf|vsprintf|strtok'

# Debian's and other names of what the library stands on.
needed() {
  "$objdump" -p "$shared" | awk '$1 == "NEEDED" { print $2 }' |
    grep -vE '^(libjansson|libm|libc|libpthread|libasan|libubsan|libtsan|ld-linux)[-.0-9a-z_]*\.so'
}

one_blas() {
  test "$(needed | wc -l)" -eq 1 && needed | grep -qE '^lib(open|c)?blas'
}

same_as_undefined() {
  undefined | grep -E '^(cblas|openblas)_|^sgemm'
}

# The jansson of subprojects/jansson.wrap: it has functions for standard input, and minds the locale itself.
jansson_inside() {
  "$nm" "$archive" | grep -q ' t json_loadb$'
}

check 'the header declares what the committed list names' equal "$declared" "$committed"
check 'the shared library exports the committed list and nothing else, as version GPT2_0' \
  equal "$(exported)" "$(versioned)"
check 'the shared library is called libgpt2.so.0' \
  equal "$("$objdump" -p "$shared" | awk '$1 == "SONAME" { print $2 }')" libgpt2.so.0
check 'the static archive defines the committed list and nothing else' equal "$(archived)" "$committed"
check 'the static archive is one object' equal "$(ar t "$archive" | wc -l)" 1
if test "$blas" = private; then
  check 'with a private BLAS the shared library needs no other' nothing needed
  check 'with a private BLAS the static archive takes none from the program' nothing same_as_undefined
else
  check 'the shared library needs one BLAS library and nothing unknown' one_blas
  check 'our objects call nothing that ends the process' nothing taken "$ending"
  if ! jansson_inside; then
    check 'our objects call nothing that prints' nothing taken "$printing"
    check 'our objects call nothing that depends on the locale' nothing taken "$locale"
  fi
  check 'our objects call nothing else that is forbidden' nothing taken "$other"
fi
finish
