#!/bin/sh
# hardening.sh - that a mistake which everybody has overlooked meets what compiler, linker and C library have against
# it: seen by checksec in the shared library and the programs, and in the object of the static library.
#
#   hardening.sh SOURCE_ROOT READELF CC SHARED_LIBRARY STATIC_ARCHIVE [PROGRAM...]
set -u
. "$1/tests/house/tap.sh"
readelf=$2 cc=$3 shared=$4 archive=$5
shift 5
command -v checksec >/dev/null || skip_all 'checksec is not installed'

temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT

# Columns of checksec: RELRO, stack protector, no executable stack, position independence, run paths, symbols, fortify.
seen_by_checksec() {
  checksec --file="$1" --output=csv | cut -d, -f1-4,8
}

all='Full RELRO,Canary found,NX enabled'

# A library and a program as they are without any of it.
printf '%s\n' '#include <string.h>' 'int main(int n, char **words) { char a[64]; strcpy(a, words[0]); return a[n]; }' \
  > "$temporary/bare.c"
bare() {
  # shellcheck disable=SC2086
  $cc -O2 -U_FORTIFY_SOURCE -fno-stack-protector -no-pie -Wl,-z,norelro,-z,execstack "$temporary/bare.c" \
    -o "$temporary/bare" && equal "$(seen_by_checksec "$temporary/bare")" 'No RELRO,No Canary found,NX disabled,No PIE,No'
}

# stacks FILE: what the file asks of the stack of who links it.
stacks() {
  "$readelf" -SW "$1" | sed -n 's/.*\.note\.GNU-stack *PROGBITS *[0-9a-f]* *[0-9a-f]* *[0-9a-f]* *[0-9a-f]* *\([A-Z]*\).*/flags:\1/p'
}

# Function calls that the dynamic linker would have to look up in other libraries of the process.
bound_outside() {
  "$readelf" -rW "$shared" | grep 'gpt2_'
}

# The object that is all of the static library calls what guards stacks and buffers.
unguarded() {
  for name in __stack_chk_fail __snprintf_chk; do
    "$readelf" -sW "$archive" | grep -q " UND $name\$" || echo "$name is not called"
  done
}

check 'checksec tells what is not hardened' bare
check 'the shared library is hardened' equal "$(seen_by_checksec "$shared")" "$all,DSO,Yes"
for program; do
  check "$(basename "$program") is hardened" equal "$(seen_by_checksec "$program")" "$all,PIE enabled,Yes"
done
check 'the static library asks for no executable stack' equal "$(stacks "$archive")" 'flags:'
check 'the static library is guarded' nothing unguarded
check 'the shared library calls its own functions, whatever else the process has loaded' nothing bound_outside
finish
