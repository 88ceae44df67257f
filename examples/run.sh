#!/bin/sh
# run.sh - from a fresh clone to a story: installs what is missing, builds, and continues a prompt.
#
#   examples/run.sh [OPTIONS OF gpt2-generate] [PROMPT]
#
# Without any argument the prompt is "Once upon a time"; with options only, gpt2-generate reads it from standard
# input. Only the story goes to standard output.
set -eu

root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
build=$root/build

. "$root/scripts/packages.sh"
need_packages gcc libc6-dev meson ninja-build pkg-config libopenblas-dev libjansson-dev

if [ ! -f "$build/build.ninja" ]; then
  meson setup --buildtype=release "$build" "$root" </dev/null >&2
fi
ninja -C "$build" </dev/null >&2

if [ $# = 0 ]; then
  set -- 'Once upon a time'
fi
exec "$build/examples/gpt2-generate" "$@"
