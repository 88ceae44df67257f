#!/bin/sh
# consumers.sh - the library as its users get it: configured, installed below a prefix of its own, found with
# pkg-config, CMake and meson, and used by programs in C99, C11 and C++17 that were never told anything else.
#
#   consumers.sh SOURCE_ROOT WORK_DIR system|private OTHER_LIBRARY CC CXX [CC CXX]...
#
# The first compiler builds the library, each builds programs. WORK_DIR is kept, so that a second time only what changed
# is built.
set -u
source=$1 work=$2 blas=$3 other=$4 cc=$5 cxx=$6
shift 4
. "$source/tests/house/tap.sh"
. "$source/tests/consumers/uses.sh"

build=$work/build prefix=$work/installed

install_library() {
  rm -rf "$prefix"
  set_up_library --prefix="$prefix" -Dblas="$blas" && meson install -C "$build" --quiet
}

missing_files() {
  for name in include/gpt2.h share/gpt2/models/tales/model.safetensors share/gpt2/models/tales/README.md \
    share/man/man1/gpt2-generate.1 share/bash-completion/completions/gpt2-info share/zsh/site-functions/_gpt2 \
    bin/gpt2-generate bin/gpt2-tokenize bin/gpt2-score bin/gpt2-info bin/gpt2-bench; do
    test -s "$prefix/$name" || echo "$name is missing"
  done
  for name in libgpt2.so libgpt2.so.0 libgpt2.a pkgconfig/gpt2.pc cmake/gpt2/gpt2-config.cmake \
    cmake/gpt2/gpt2-config-version.cmake; do
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

# ---- Threads ----

# threads FOLDER THREADING: several threads at once, with the OpenBLAS of that folder, which is threaded so.
threads() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c11 $warnings "$here/threads.c" -o "$work/program" $(pkg-config --cflags --libs gpt2) -pthread &&
    LD_LIBRARY_PATH=$libraries:$1 "$work/program" "$model" > "$work/told" && equal "$(cat "$work/told")" "$2"
}

# ---- The installed programs, which nobody tells where library and model are ----

without_its_model() {
  mv "$model" "$model.away"
  "$prefix/bin/gpt2-generate" -n 1 'Once' > "$work/told" 2> "$work/words"
  status=$?
  mv "$model.away" "$model"
  test "$status" -eq 1 && grep -qF "$model" "$work/words" || { echo "status $status"; cat "$work/words"; return 1; }
}

# in_the_moved_tree COMMAND...: while the whole of it stands elsewhere.
in_the_moved_tree() {
  rm -rf "$work/moved" && mv "$prefix" "$work/moved"
  "$@"
  status=$?
  mv "$work/moved" "$prefix"
  return "$status"
}

moved_package() {
  model=$work/moved/share/gpt2/models/tales
  find_package "$work/moved" -DCMAKE_PREFIX_PATH="$work/moved"
}

# The archive alone: then gpt2::gpt2 is that.
static_package() {
  rm -rf "$work/static" && mkdir "$work/static" && cp -Rp "$prefix/include" "$prefix/lib" "$work/static/" &&
    find "$work/static" -name 'libgpt2.so*' -delete &&
    find_package "$work/static" -DCMAKE_PREFIX_PATH="$work/static" && tells_from_inside "$cmake_built/short"
}

mkdir -p "$work" || exit 1
check 'meson configures, builds and installs it' install_library
libraries=$(dirname "$(find "$prefix" -name libgpt2.a)")
model=$prefix/share/gpt2/models/tales
export PKG_CONFIG_PATH="$libraries/pkgconfig"

check 'everything is where it belongs' nothing missing_files
check 'the libraries show nothing but gpt2_*' nothing shown_beside
if test "$blas" = private; then
  check 'neither library takes a BLAS from outside' nothing taken_blas
  check 'threads that use the BLAS at once compute the same' threads '' serial
else
  openblas=/usr/lib/$($cc -print-multiarch)/openblas
  check 'threads that use OpenBLAS at once compute the same, with threads of its own' \
    threads "$openblas-pthread" pthreads
  check 'threads that use OpenBLAS at once compute the same, without threads of its own' \
    threads "$openblas-serial" serial
fi
. "$here/loading.sh"
check 'an installed program finds its library and its model' continues "$prefix/bin/gpt2-generate"
check 'an installed program looks for the installed model only' without_its_model
check 'the installed tree works where it was moved to' in_the_moved_tree continues "$work/moved/bin/gpt2-generate"

while test $# -gt 0; do
  cc=$1 cxx=$2
  shift 2
  if ! has "$cc"; then
    skip "programs by $cc" "there is no $cc"
    continue
  fi
  pkg_config_programs
  check "$cc: programs of a meson project work" meson_installed
  if has cmake; then
    check "$cc: programs of a CMake project that finds the package work" \
      find_package "$prefix" -DCMAKE_PREFIX_PATH="$prefix"
    check "$cc: programs of a CMake project that asks pkg-config work" cmake_pkg_config
  fi
done
if has cmake; then
  check 'CMake grants the versions and components that it has, and refuses others' versions
  check 'CMake finds the package in the tree where it was moved to' in_the_moved_tree moved_package
  check 'CMake finds the archive where it is alone' static_package
else
  skip 'programs of CMake projects' 'there is no cmake'
fi
finish
