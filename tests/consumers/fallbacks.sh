#!/bin/sh
# fallbacks.sh - that the library builds where neither jansson nor cmocka is installed: with what subprojects/*.wrap
# name, and without the network.
#
#   tests/consumers/fallbacks.sh WORK_DIR [FOLDER]
#
# FOLDER has the source packages of Debian that the wraps name (jansson_2.14.orig.tar.gz, cmocka_1.1.5.orig.tar.xz);
# without it they are fetched from Debian, before the network is cut off. WORK_DIR is made anew.
set -u
source=$(readlink -f "$(dirname "$0")/../..") || exit 1
work=$(readlink -m "$1") given=${2:+$(readlink -f "$2")}
cc=${CC:-cc} cxx=${CXX:-c++}
. "$source/tests/house/tap.sh"
. "$source/tests/consumers/uses.sh"

# The repository but for its subprojects/, into which meson unpacks.
checkout=$work/checkout
build=$work/build prefix=$work/installed

rm -rf "$work"
mkdir -p "$checkout/subprojects/packagecache" || exit 1
for entry in "$source"/*; do
  case ${entry##*/} in
    subprojects | build*) ;;
    *) ln -s "$entry" "$checkout/" ;;
  esac
done
cp -R "$source/subprojects/packagefiles" "$source"/subprojects/*.wrap "$checkout/subprojects/" || exit 1

# Without a network of its own it has none at all; where that is not allowed, all roads lead to a port that is closed.
if unshare -rn true 2> /dev/null; then
  without_network='unshare -rn'
else
  without_network='env http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9'
fi
echo "# the network is cut off by: $without_network"

offline() {
  $without_network "$@"
}

network_answers() {
  offline python3 -c 'import urllib.request; urllib.request.urlopen("https://deb.debian.org/", timeout=10)' 2> /dev/null
}

# ---- The source packages ----

# wrap_value NAME KEY
wrap_value() {
  sed -n "s/^$2 = //p" "$source/subprojects/$1.wrap"
}

# brought NAME: its source package is in the place of the download, and is the file that the wrap means.
brought() {
  file=$(wrap_value "$1" source_filename) hash=$(wrap_value "$1" source_hash)
  cached=$checkout/subprojects/packagecache/$file
  if test -n "$given"; then
    cp "$given/$file" "$cached"
  else
    /usr/lib/apt/apt-helper download-file "$(wrap_value "$1" source_fallback_url)" "$cached" "SHA256:$hash"
  fi && equal "$(sha256sum < "$cached")" "$hash  -"
}

# ---- The library with jansson inside ----

builds() {
  offline env CC="$cc" CXX="$cxx" meson setup "$build" "$checkout" --wrap-mode=forcefallback --prefix="$prefix" \
    -Dtests=true -Dwerror=true &&
    offline meson compile -C "$build" && offline meson install -C "$build" --quiet
}

needs_others() {
  objdump -p "$build/src/libgpt2.so" "$build/examples/gpt2-bench" "$build/tests/test_json" |
    grep -E 'NEEDED.*(jansson|cmocka)'
}

json_names() {
  nm -D "$libraries/libgpt2.so" | grep json
  nm -u "$libraries/libgpt2.a" | grep json
  nm -g --defined-only "$libraries/libgpt2.a" | grep json
  grep -r jansson "$libraries/pkgconfig" "$libraries/cmake"
}

installed_jansson() {
  find "$prefix" | grep -E 'jansson|cmocka'
}

# All that reads JSON, and what the house says of the libraries.
tests_pass() {
  meson test -C "$build" --no-rebuild json json_values json_cut safetensors huggingface_config huggingface_tensors \
    tokenizer_files info 'house symbols'
}

# namesakes LINK_WORDS...: a program with functions of jansson's names.
namesakes() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c99 $warnings "$here/c99.c" "$here/json_namesakes.c" -o "$work/program" $(pkg-config --cflags gpt2) "$@" &&
    tells_with_library "$work/program"
}

# ---- The library as a subproject, which brings its wraps along ----

project=$work/project/meson
as_subproject() {
  mkdir -p "$project/subprojects" && cp "$here"/*.c "$here"/*.cpp "$work/project/" &&
    cp "$here/meson/meson.build" "$project/" && ln -s "$checkout" "$project/subprojects/gpt2" &&
    mv "$checkout/subprojects/packagecache" "$project/subprojects/" && rm -rf "$checkout/subprojects/jansson-2.14" &&
    offline env CC="$cc" CXX="$cxx" meson setup "$work/build-project" "$project" --wrap-mode=forcefallback &&
    offline meson compile -C "$work/build-project" && meson_programs "$work/build-project"
}

for name in jansson cmocka; do
  check "the source package of $name is the file that its wrap means" brought "$name"
done
check 'the network is cut off' test "$(network_answers && echo answers)" = ''
check 'the library, its programs and its tests build' builds
test "$n_failed" -eq 0 || finish
libraries=$(dirname "$(find "$prefix" -name libgpt2.a)")
model=$prefix/share/gpt2/models/tales
export PKG_CONFIG_PATH="$libraries/pkgconfig"
check 'neither jansson nor cmocka of the system is used' nothing needs_others
check 'nothing of them is installed' nothing installed_jansson
check 'neither library shows or wants names of jansson, and no file for users does' nothing json_names
check 'the tests of what reads JSON pass' tests_pass
pkg_config_programs
check 'a program that has names of jansson for itself works with the shared library' namesakes -L"$libraries" -lgpt2
check 'a program that has names of jansson for itself works with the static library' \
  namesakes "$libraries/libgpt2.a" -lopenblas -lm -pthread
if has cmake; then
  check 'programs of a CMake project work' find_package "$prefix" -DCMAKE_PREFIX_PATH="$prefix"
fi
check 'a project that has the library as a subproject gets them from its wraps' as_subproject
finish
