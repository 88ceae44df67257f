#!/bin/sh
# moved_build.sh - programs that were built find the repository's model where both were moved to.
#
#   moved_build.sh SOURCE_ROOT BUILD_ROOT WHOLE_BUILD_ROOT
#
# BUILD_ROOT is a part of WHOLE_BUILD_ROOT if the repository is built as a subproject.
set -u
. "$1/tests/house/tap.sh"

temporary=$(mktemp -d) || exit 1
temporary=$(readlink -f "$temporary")
trap 'rm -rf "$temporary"' EXIT
source=$(readlink -f "$1")
common=$(python3 -c 'import os, sys; print(os.path.commonpath(list(map(os.path.realpath, sys.argv[1:]))))' "$1" "$3")
root=$temporary/moved${source#"$common"} build=$temporary/moved${2#"$common"}
whole=$temporary/moved${3#"$common"}
mkdir -p "$root/examples/models" "$build/examples" "$build/src" "$whole/meson-info" &&
  cp -R "$1/examples/models/tales" "$root/examples/models/" &&
  cp "$2/examples/gpt2-info" "$build/examples/" && cp "$2"/src/libgpt2.so.0 "$build/src/" || exit 1
unset GPT2_MODEL LD_LIBRARY_PATH

finds_model() {
  "$build/examples/gpt2-info" > "$temporary/told" && grep '^model: ' "$temporary/told" | grep -F "model: $temporary/moved/"
}

check 'a program that was built finds the model of the repository where both were moved to' finds_model
finish
