# build_folder.sh - build folders that belong to this checkout. To be sourced.
#
#   build_is_ours FOLDER ROOT
#
# whether the folder is set up for this checkout: a build knows it by its full path, so that of one that was moved or
# copied is not.
#
#   set_up_build FOLDER ROOT OPTION...
#
# sets it up with meson; again, with the options that it had, if it was another's.

build_is_ours() {
  test -f "$1/build.ninja" && python3 -c '
import json, os, sys
folder, root = sys.argv[1:]
with open(folder + "/meson-info/meson-info.json", encoding="utf-8") as info:
    told = json.load(info)["directories"]
sys.exit(not os.path.samefile(told["source"], root) or not os.path.samefile(told["build"], folder))
' "$1" "$2" 2>/dev/null
}

# meson_is_new_enough ROOT: or says in one line what is needed.
meson_is_new_enough() {
  meson_needed=$(sed -n "s/^ *meson_version: '>=\([0-9.]*\)'.*/\1/p" "$1/meson.build")
  meson_found=$(meson --version) || return 1
  printf '%s\n' "$meson_needed" "$meson_found" | sort -V -C ||
    { echo "meson $meson_found is too old: $meson_needed or later is needed, as in Debian 12 and Ubuntu 24.04" >&2; return 1; }
}

set_up_build() {
  build_folder=$1 build_root=$2
  shift 2
  meson_is_new_enough "$build_root" || return 1
  if test -f "$build_folder/meson-private/coredata.dat"; then
    set -- --wipe "$@"
  fi
  meson setup "$@" "$build_folder" "$build_root" </dev/null
}
