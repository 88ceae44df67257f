#!/bin/sh
# staged.sh - the library as a package of a distribution: built for /usr, installed below DESTDIR, and used from there
# as from a sysroot. Nothing may land, or look, outside.
#
#   staged.sh SOURCE_ROOT WORK_DIR CC CXX [CC CXX]...
#
# The first compiler builds the library, each builds programs. WORK_DIR is kept, so that a second time only what changed
# is built.
set -u
source=$1 work=$2 cc=$3 cxx=$4
shift 2
. "$source/tests/house/tap.sh"
. "$source/tests/consumers/uses.sh"

has "$cc" || skip_all "there is no $cc"
build=$work/build stage=$work/stage
prefix=$stage/usr
model=$prefix/share/gpt2/models/tales

# Whoever calls ldconfig gets this one.
mkdir -p "$work/bin" || exit 1
printf '#!/bin/sh\ntouch "%s"\n' "$work/ldconfig was called" > "$work/bin/ldconfig" &&
  chmod +x "$work/bin/ldconfig" || exit 1

stage_library() {
  rm -rf "$stage" "$work/ldconfig was called"
  touch "$work/before"
  set_up_library --prefix=/usr &&
    DESTDIR=$stage PATH=$work/bin:$PATH meson install -C "$build" --no-rebuild --quiet
}

# What is not in a folder of its kind below the stage, and what has just come to the same places of the system.
misplaced() {
  find "$stage" ! -type d |
    grep -vE "^$prefix/(bin/gpt2-|include/gpt2\.h$|share/)|^$libraries/(libgpt2\.|pkgconfig/|cmake/gpt2/)"
  find /usr/bin /usr/include /usr/lib /usr/share -newer "$work/before" -name '*gpt2*'
}

left_out() {
  for file in "$prefix/bin/gpt2-generate" "$prefix/include/gpt2.h" "$model/model.safetensors" "$libraries/libgpt2.so" \
    "$libraries/libgpt2.so.0" "$libraries/pkgconfig/gpt2.pc" "$libraries/cmake/gpt2/gpt2-config.cmake"; do
    test -s "$file" || echo "$file is missing"
  done
}

# A package must not know where it was put together.
knows_the_stage() {
  grep -rlF "$work" "$stage"
}

pkg_config_words() {
  # shellcheck disable=SC2046
  equal "$(echo $(pkg-config --cflags --libs gpt2))" "-I$prefix/include -L$libraries -lgpt2"
}

check 'it is installed below DESTDIR' stage_library
libraries=$(dirname "$(find "$prefix" -name libgpt2.a)")
check 'everything is there' nothing left_out
check 'nothing is outside' nothing misplaced
check 'ldconfig is not called' test ! -e "$work/ldconfig was called"
check 'nothing that is installed names the folder that it was installed below' nothing knows_the_stage

export PKG_CONFIG_SYSROOT_DIR="$stage" PKG_CONFIG_PATH="$libraries/pkgconfig"
check 'pkg-config leads into the sysroot' pkg_config_words
while test $# -gt 0; do
  cc=$1 cxx=$2
  shift 2
  pkg_config_programs
done
if has cmake; then
  check "$cc: CMake finds the package below its root path" find_package "$prefix" -DCMAKE_FIND_ROOT_PATH="$stage"
else
  skip 'CMake finds the package below its root path' 'there is no cmake'
fi
finish
