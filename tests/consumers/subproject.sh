#!/bin/sh
# subproject.sh - the library inside the build of a program: a meson project that has this repository as a subproject,
# and links both forms of the library.
#
#   subproject.sh SOURCE_ROOT WORK_DIR CC CXX [CC CXX]...
#
# Each compiler builds it once. WORK_DIR is kept, so that a second time only what changed is built.
set -u
source=$1 work=$2
shift 2
. "$source/tests/house/tap.sh"
. "$source/tests/consumers/uses.sh"

model=$source/examples/models/tales
project=$work/project/meson

# A project of its own, with the programs beside it, as they are here.
lay_out() {
  mkdir -p "$project/subprojects" && cp -p "$here"/*.c "$here"/*.cpp "$work/project/" &&
    cp -p "$here/meson/meson.build" "$project/" && ln -sfn "$source" "$project/subprojects/gpt2"
}

built() {
  test -f "$folder/build.ninja" ||
    CC=$cc CXX=$cxx meson setup "$folder" "$project" --force-fallback-for=gpt2 --buildtype=release \
      -Dgpt2:programs=true || return
  meson compile -C "$folder"
}

# The library of the subproject, not an installed one.
uses_its_own() {
  # shellcheck disable=SC2016
  objdump -p "$folder/short" | grep 'RUNPATH.*\$ORIGIN/subprojects/gpt2/src'
}

# The programs are not what one has a subproject for, but they must not be in the way either.
its_programs() {
  continues "$folder/subprojects/gpt2/examples/gpt2-generate"
}

check 'a project is laid out' lay_out
while test $# -gt 0; do
  cc=$1 cxx=$2
  folder=$work/build-$cc
  shift 2
  if ! has "$cc"; then
    skip "a project builds it by $cc" "there is no $cc"
    continue
  fi
  check "$cc: a project builds it as a subproject" built
  check "$cc: programs of the project work" meson_programs "$folder"
  check "$cc: programs of the subproject work" its_programs
  check "$cc: with the library of the subproject" uses_its_own
done
finish
