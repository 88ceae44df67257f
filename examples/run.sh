#!/bin/sh
# run.sh - from a fresh clone to a story: installs what is missing, builds, and continues a prompt.
#
#   examples/run.sh [OPTIONS OF gpt2-generate] [PROMPT]
#
# Without any argument the prompt is "Once upon a time"; with options only, gpt2-generate reads it from standard
# input. Only the story goes to standard output. The model is the repository's, whatever GPT2_MODEL says, unless
# --model names another.
set -eu

root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
build=$root/build

. "$root/scripts/packages.sh"
. "$root/scripts/build_folder.sh"
need_packages gcc libc6-dev meson ninja-build pkg-config libopenblas-dev libjansson-dev

if ! build_is_ours "$build" "$root"; then
  set_up_build "$build" "$root" --buildtype=release >&2
fi
ninja -C "$build" </dev/null >&2

if [ $# = 0 ]; then
  set -- 'Once upon a time'
fi
unset GPT2_MODEL
exec "$build/examples/gpt2-generate" "$@"
