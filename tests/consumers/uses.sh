# shellcheck shell=sh disable=SC2154
# uses.sh - the ways in which programs use the library, for the tests in this folder. To be sourced, after tap.sh, with
#
#   source     the repository
#   work       a folder to work in
#   prefix     where the library is installed
#   libraries  the folder of the libraries there
#   model      the model that the programs are given
#   cc, cxx    compilers; both are changed from test to test

here=$source/tests/consumers
story=' there was a great forest, and in the forest'
warnings='-Wall -Wextra -Wpedantic -Werror'
unset GPT2_MODEL LD_LIBRARY_PATH

# set_up_library OPTION...: configures a build of the library in $build with $cc, unless it is, and compiles it.
set_up_library() {
  test -f "$build/build.ninja" || CC=$cc meson setup "$build" "$source" -Dwerror=true "$@" || return
  meson compile -C "$build"
}

# has COMMAND: its first word is a program that is installed.
has() {
  command -v "${1%% *}" > /dev/null
}

# ---- What they must do ----

# tells COMMAND...: it prints the story that the model tells.
tells() {
  "$@" > "$work/told" && equal "$(cat "$work/told")" "$story"
}

# tells_with_library PROGRAM: the same with our model, of a program that does not know where the library is.
tells_with_library() {
  LD_LIBRARY_PATH=$libraries tells "$1" "$model"
}

# continues GPT2_GENERATE OPTION...: the program of that name does, with its own way to the library and the model.
continues() {
  "$@" --greedy -n 10 'Once upon a time' > "$work/told" && equal "$(cat "$work/told")" "Once upon a time$story"
}

needs_libgpt2() {
  objdump -p "$1" | grep 'NEEDED.*libgpt2'
}

tells_from_inside() {
  nothing needs_libgpt2 "$1" && tells "$1" "$model"
}

# The words of an exception, and nothing else.
refuses() {
  LD_LIBRARY_PATH=$libraries "$1" "$work/nowhere" > "$work/told" 2> "$work/words"
  test $? -eq 1 && test ! -s "$work/told" && grep -q "^GPT2_ERR_NOT_FOUND: $work/nowhere/config.json: " "$work/words" ||
    { cat "$work/told" "$work/words"; return 1; }
}

# ---- With pkg-config ----

# shared COMPILER STANDARD FILE: with the flags that everybody uses.
shared() {
  # shellcheck disable=SC2046,SC2086
  $1 "-std=$2" $warnings "$here/$3" -o "$work/program" $(pkg-config --cflags --libs gpt2) &&
    tells_with_library "$work/program"
}

# Our archive, and everything else shared.
archive() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c99 $warnings "$here/c99.c" "$here/namesakes.c" -o "$work/program" \
    $(pkg-config --cflags --static --libs gpt2 | sed 's/-lgpt2/-l:libgpt2.a/') &&
    tells_from_inside "$work/program"
}

# Nothing shared at all.
all_static() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c99 -static $warnings "$here/c99.c" -o "$work/program" $(pkg-config --cflags --static --libs gpt2) &&
    tells "$work/program" "$model"
}

pkg_config_programs() {
  check "$cc: a C99 program works with the flags of pkg-config" shared "$cc" c99 c99.c
  check "$cc: a C11 program works with the flags of pkg-config" shared "$cc" c11 c11.c
  check "$cxx: a C++17 program works with the flags of pkg-config" shared "$cxx" c++17 cxx17.cpp
  check "$cxx: which has the library's words in an exception" refuses "$work/program"
  check "$cc: the archive works in a program that has our internal names for itself" archive
  check "$cc: a wholly static program works" all_static
}

# ---- With CMake ----

# cmake_build PROJECT OPTION...: configures and builds one of the projects beside this file in $cmake_built.
cmake_build() {
  cmake_built=$work/$1-$cc
  project=$1
  shift
  CC=$cc CXX=$cxx cmake -S "$here/$project" -B "$cmake_built" -G Ninja -U 'gpt2_*' \
    -DCMAKE_C_FLAGS="$warnings" -DCMAKE_CXX_FLAGS="$warnings" "$@" && cmake --build "$cmake_built"
}

# find_package FOUND_BELOW OPTION...: the programs of the project that finds the library so, and finds this one.
find_package() {
  found_below=$1
  shift
  cmake_build cmake "$@" || return
  found_at=$(sed -n 's/^gpt2_DIR:PATH=//p' "$cmake_built/CMakeCache.txt")
  case $found_at in
    "$found_below"/*) ;;
    *) echo "found at $found_at" && return 1 ;;
  esac
  tells "$cmake_built/short" "$model" && tells "$cmake_built/owning" "$model" && tells_from_inside "$cmake_built/inside"
}

cmake_pkg_config() {
  cmake_build cmake-pkg-config && tells "$cmake_built/short" "$model"
}

# Which versions find_package grants.
versions() {
  rm -rf "$work/cmake-versions" &&
    cmake -S "$here/cmake-versions" -B "$work/cmake-versions" -DFOLDER="$libraries/cmake/gpt2" \
      -DVERSION="$(sed -n "s/^  version: '\(.*\)',/\1/p" "$source/meson.build")"
}

# ---- With meson ----

# meson_programs FOLDER: what the project beside this file has built there.
meson_programs() {
  tells "$1/short" "$model" && tells "$1/owning" "$model" && tells_from_inside "$1/inside"
}

meson_installed() {
  folder=$work/meson-$cc
  test -f "$folder/build.ninja" || CC=$cc CXX=$cxx meson setup "$folder" "$here/meson" --wrap-mode=nofallback || return
  meson compile -C "$folder" && meson_programs "$folder"
}
