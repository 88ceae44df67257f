#!/bin/sh
# abi.sh - that programs which were compiled with an earlier 0.x run with this one: the binary interface of the built
# library, as abidw reads it from the debugging information, is that of gpt2.abi, or has more.
#
#   abi.sh SOURCE_ROOT SHARED_LIBRARY CC    compares, and breaks copies of the header to see that it is noticed
#   abi.sh --update [SHARED_LIBRARY]        tells what has changed, and writes gpt2.abi anew (library: that of build-tests/release)
#
# What may change is that functions are added, and that structs which begin with their size grow at their end.
set -u

# dump_of LIBRARY HEADERS: only what programs see - no types behind handles, no lines, no names of arguments - and no
# word of the machine. The folder of a source file depends on where the build is.
dump_of() {
  abidw --headers-dir "$2" --drop-private-types --exported-interfaces-only --drop-undefined-syms --no-parameter-names \
    --no-show-locs --no-corpus-path --no-comp-dir-path --no-elf-needed "$1" | sed "s|path='[^']*/src/|path='src/|"
}

if test "$1" = --update; then
  cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
  new=$(mktemp) || exit 1
  dump_of "${2:-build-tests/release/src/libgpt2.so.0}" include > "$new"
  abidiff tests/house/gpt2.abi "$new"
  cat "$new" > tests/house/gpt2.abi && rm "$new"
  exit
fi

library=$(readlink -f "$2") cc=$3
cd "$1" || exit 1
. tests/house/tap.sh
command -v abidiff >/dev/null || skip_all 'abigail-tools is not installed'
readelf -S "$library" | grep -q '\.debug_info' ||
  skip_all 'the library was built without debugging information (meson configure -Ddebug=true)'

temporary=$(mktemp -d) || exit 1
trap 'rm -rf "$temporary"' EXIT
mkdir "$temporary/include"

# compatible LIBRARY HEADERS: or abidiff tells what has changed since gpt2.abi.
compatible() {
  dump_of "$1" "$2" > "$temporary/found.abi" &&
    awk -f tests/house/grown.awk tests/house/gpt2.abi "$temporary/found.abi" > "$temporary/known.abi" &&
    abidiff --no-added-syms tests/house/gpt2.abi "$temporary/known.abi"
}

# Two dumps that differ may mean the same, as when a function has moved to another file.
up_to_date() {
  dump_of "$library" include > "$temporary/found.abi" && abidiff tests/house/gpt2.abi "$temporary/found.abi"
}

# ---- Copies of the header, and libraries with nothing in them ----

# stub_of EDIT: of the header as sed changed it. Sets the library $temporary/stub.so.
stub_of() {
  sed -E "$1" include/gpt2.h > "$temporary/include/gpt2.h" &&
    { echo '#include <gpt2.h>' &&
      awk -f tests/house/code.awk "$temporary/include/gpt2.h" | awk -f tests/house/stubs.awk; } > "$temporary/stub.c" &&
    $cc -std=c11 -g -w -shared -fPIC "-I$temporary/include" -Wl,-soname,libgpt2.so.0 -Wl,--version-script=src/gpt2.map \
      "$temporary/stub.c" -o "$temporary/stub.so"
}

changed() {
  test -z "$1" || ! cmp -s include/gpt2.h "$temporary/include/gpt2.h" || { echo "nothing to change: $1"; return 1; }
}

# allows EDIT, refuses EDIT WORDS: abidiff must say the words.
allows() {
  stub_of "$1" && changed "$1" && compatible "$temporary/stub.so" "$temporary/include"
}

refuses() {
  stub_of "$1" && changed "$1" || return
  compatible "$temporary/stub.so" "$temporary/include" > "$temporary/words"
  test $? -ge 4 && grep -qE "$2" "$temporary/words" || { cat "$temporary/words"; return 1; }
}

check 'programs that were compiled with gpt2.abi run with this library' compatible "$library" include
check 'gpt2.abi is up to date (sh tests/house/abi.sh --update)' up_to_date
check 'the header alone makes the same binary interface' allows ''
check 'a function more is allowed' allows 's/^GPT2_API const char \*gpt2_version.*/&\nGPT2_API int gpt2_more(void);/'
check 'a field more at the end of a struct with a size is allowed' allows '/^typedef struct gpt2_piece/,/^}/s/^}/  int64_t more;\n}/'
check 'a function less is noticed' refuses '/^GPT2_API const char \*gpt2_version/d' 'gpt2_version'
check 'another name is noticed' refuses 's/gpt2_kv_drop/gpt2_kv_forget/' 'gpt2_kv_drop'
check 'another type of an argument is noticed' refuses '/gpt2_kv_truncate/s/size_t length/uint32_t length/' 'gpt2_kv_truncate'
check 'an argument more is noticed' refuses '/gpt2_kv_drop/s/int32_t sequence/&, int more/' 'gpt2_kv_drop'
check 'another type of a result is noticed' refuses 's/^GPT2_API size_t gpt2_kv_length/GPT2_API int gpt2_kv_length/' 'gpt2_kv_length'
check 'a field more in the midst of a struct is noticed' refuses \
  '/^typedef struct gpt2_load_options/,/^}/s/^  gpt2_log_callback/  int64_t more;\n&/' 'struct gpt2_load_options'
check 'a field less is noticed' refuses '/^typedef struct gpt2_result/,/^}/{/uint64_t seed/d}' 'struct gpt2_result'
check 'another type of a field is noticed' refuses '/^typedef struct gpt2_info/,/^}/s/uint64_t n_parameters/double n_parameters/' \
  'n_parameters'
check 'fields that change places are noticed' refuses \
  '/^typedef struct gpt2_error/,/^}/{s/gpt2_status status/int32_t place/;s/int64_t offset/int64_t status/}' 'struct gpt2_error'
check 'another length of an array is noticed' refuses 's/char message\[496\]/char message[504]/' 'struct gpt2_error'
check 'a field more in a struct that stands in arrays is noticed' refuses \
  '/^typedef struct gpt2_row/,/^}/s/^}/  int64_t more;\n}/' 'struct gpt2_row'
check 'another argument of a callback is noticed' refuses \
  '/^typedef int32_t \(\*gpt2_abort_callback/s/void \*user/int user/' 'gpt2_abort_callback'
finish
