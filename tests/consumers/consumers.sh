#!/bin/sh
# consumers.sh - the library as its users get it: configured, installed below a prefix of its own, found with
# pkg-config, and used by programs in C99, C11 and C++17 that were never told anything else.
#
#   consumers.sh SOURCE_ROOT WORK_DIR CC CXX system|private OTHER_LIBRARY
#
# WORK_DIR is kept, so that a second time only what changed is built.
set -u
source=$1 work=$2 cc=$3 cxx=$4 blas=$5 other=$6
. "$source/tests/house/tap.sh"

build=$work/build prefix=$work/installed
here=$source/tests/consumers
story=' there was a great forest, and in the forest'
warnings='-Wall -Wextra -Wpedantic -Werror'
unset GPT2_MODEL LD_LIBRARY_PATH

install_library() {
  rm -rf "$prefix"
  test -f "$build/build.ninja" ||
    CC=$cc meson setup "$build" "$source" --prefix="$prefix" -Dblas="$blas" -Dwerror=true || return
  meson compile -C "$build" && meson install -C "$build" --quiet
}

missing_files() {
  for name in include/gpt2.h share/gpt2/models/tales/model.safetensors share/gpt2/models/tales/README.md \
    share/man/man1/gpt2-generate.1 share/bash-completion/completions/gpt2-info share/zsh/site-functions/_gpt2 \
    bin/gpt2-generate bin/gpt2-tokenize bin/gpt2-score bin/gpt2-info bin/gpt2-bench; do
    test -s "$prefix/$name" || echo "$name is missing"
  done
  for name in libgpt2.so libgpt2.so.0 libgpt2.a pkgconfig/gpt2.pc; do
    test -s "$libraries/$name" || echo "$name is missing"
  done
}

# ---- What it shows to its users, and what it takes from them ----

shown_beside() {
  nm -D --defined-only "$libraries/libgpt2.so" | awk '$2 != "A" && $3 !~ /^gpt2_/'
  nm -g --defined-only "$libraries/libgpt2.a" | awk 'NF == 3 && $3 !~ /^gpt2_/'
}

taken_blas() {
  objdump -p "$libraries/libgpt2.so" | grep -iE 'NEEDED.*(blas|gfortran)'
  nm -u "$libraries/libgpt2.a" | grep -iE 'blas|gemm'
}

# ---- Programs that use it ----

# tells COMMAND...: it prints the story that the model tells.
tells() {
  LD_LIBRARY_PATH=$libraries "$@" > "$work/told" && equal "$(cat "$work/told")" "$story"
}

# shared COMPILER STANDARD FILE: with the flags that everybody uses.
shared() {
  # shellcheck disable=SC2046,SC2086
  $1 "-std=$2" $warnings "$here/$3" -o "$work/program" $(pkg-config --cflags --libs gpt2) &&
    tells "$work/program" "$model"
}

# Our archive, and everything else shared.
archive() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c99 $warnings "$here/c99.c" "$here/namesakes.c" -o "$work/program" \
    $(pkg-config --cflags --static --libs gpt2 | sed 's/-lgpt2/-l:libgpt2.a/') &&
    nothing needs_libgpt2 && tells "$work/program" "$model"
}

needs_libgpt2() {
  objdump -p "$work/program" | grep 'NEEDED.*libgpt2'
}

# Nothing shared at all.
all_static() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c99 -static $warnings "$here/c99.c" -o "$work/program" $(pkg-config --cflags --static --libs gpt2) &&
    tells "$work/program" "$model"
}

# threads FOLDER THREADING: several threads at once, with the OpenBLAS of that folder, which is threaded so.
threads() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c11 $warnings "$here/threads.c" -o "$work/program" $(pkg-config --cflags --libs gpt2) -pthread &&
    LD_LIBRARY_PATH=$libraries:$1 "$work/program" "$model" > "$work/told" && equal "$(cat "$work/told")" "$2"
}

# ---- The installed programs, which nobody tells where library and model are ----

continues() {
  "$1/bin/gpt2-generate" --greedy -n 10 'Once upon a time' > "$work/told" &&
    equal "$(cat "$work/told")" "Once upon a time$story"
}

without_its_model() {
  mv "$model" "$model.away"
  "$prefix/bin/gpt2-generate" -n 1 'Once' > "$work/told" 2> "$work/words"
  status=$?
  mv "$model.away" "$model"
  test "$status" -eq 1 && grep -qF "$model" "$work/words" || { echo "status $status"; cat "$work/words"; return 1; }
}

moved() {
  rm -rf "$work/moved" && mv "$prefix" "$work/moved"
  continues "$work/moved"
  status=$?
  mv "$work/moved" "$prefix"
  return "$status"
}

mkdir -p "$work" || exit 1
check 'meson configures, builds and installs it' install_library
libraries=$(dirname "$(find "$prefix" -name libgpt2.a)")
model=$prefix/share/gpt2/models/tales
export PKG_CONFIG_PATH="$libraries/pkgconfig"

check 'everything is where it belongs' nothing missing_files
check 'the libraries show nothing but gpt2_*' nothing shown_beside
check 'a C99 program works with the flags of pkg-config' shared "$cc" c99 c99.c
check 'a C11 program works with the flags of pkg-config' shared "$cc" c11 c11.c
check 'a C++17 program works with the flags of pkg-config' shared "$cxx" c++17 cxx17.cpp
check 'the archive works in a program that has our internal names for itself' archive
check 'a wholly static program works' all_static
if test "$blas" = private; then
  check 'neither library takes a BLAS from outside' nothing taken_blas
  check 'threads that use the BLAS at once compute the same' threads '' serial
else
  openblas=/usr/lib/$($cc -print-multiarch)/openblas
  check 'threads that use OpenBLAS at once compute the same, with threads of its own' threads "$openblas-pthread" pthreads
  check 'threads that use OpenBLAS at once compute the same, without threads of its own' threads "$openblas-serial" serial
fi
. "$here/loading.sh"
check 'an installed program finds its library and its model' continues "$prefix"
check 'an installed program looks for the installed model only' without_its_model
check 'the installed tree works where it was moved to' moved
finish
