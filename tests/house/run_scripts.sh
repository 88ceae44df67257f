#!/bin/sh
# run_scripts.sh - what examples/run.sh and tests/run.sh do before and after the build, with a meson, a ninja and a
# package manager that only pretend. (That the whole path works, .ci/run shows.)
#
#   run_scripts.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
. tests/house/tap.sh

temporary=$(mktemp -d) || exit 1
temporary=$(readlink -f "$temporary")
trap 'rm -rf "$temporary"' EXIT
calls=$temporary/calls
checkout=$temporary/checkout
mkdir -p "$temporary/bin" "$checkout/examples" "$checkout/tests" &&
  cp -R scripts meson.build "$checkout/" && cp examples/run.sh "$checkout/examples/" && cp tests/run.sh tests/report.py "$checkout/tests/" ||
  exit 1

# pretend NAME: makes the command of standard input.
pretend() {
  { echo '#!/bin/sh'; cat; } > "$temporary/bin/$1" && chmod +x "$temporary/bin/$1"
}

pretend dpkg-query <<'END'
echo installed
END
pretend apt-get <<'END'
exit 1
END
pretend ninja <<'END'
echo 'ninja: no work to do.'
END
# Sets up a folder that has, instead of what would be built, a program that tells what it was given.
pretend meson <<'END'
echo "$*" >> "$CALLS"
case $1 in
  --version) echo "${MESON_VERSION:-1.0.1}" ;;
  test) printf '%s\n' json 'house source' ;;
  setup)
    echo 'The Meson build system'
    for word; do folder=$root root=$word; done
    mkdir -p "$folder/meson-info" "$folder/meson-private" "$folder/examples"
    touch "$folder/build.ninja" "$folder/meson-private/coredata.dat"
    printf '{"directories": {"source": "%s", "build": "%s"}}' "$(readlink -f "$root")" "$(readlink -f "$folder")" \
      > "$folder/meson-info/meson-info.json"
    printf '%s\n' '#!/bin/sh' 'printf "%s" "${GPT2_MODEL-}"; printf "<%s>" "$@"' > "$folder/examples/gpt2-generate"
    chmod +x "$folder/examples/gpt2-generate"
    ;;
esac
END
export PATH="$temporary/bin:$PATH" CALLS="$calls"

# tell FOLDER WORDS...: what examples/run.sh of this checkout prints; its set-ups are in $calls.
tell() {
  : > "$calls"
  folder=$1
  shift
  GPT2_MODEL=/nowhere "$folder/examples/run.sh" "$@" 2> "$temporary/words"
}

set_ups() {
  grep -c '^setup' "$calls"
}

tells() {
  equal "$(tell "$@")" "$told" && equal "$(set_ups)" "$expected_set_ups"
}

told='<Once upon a time>' expected_set_ups=1
check 'the first time sets the build up; the story, of the model of the repository, is all that is printed' tells "$checkout"
check 'it is built for speed' grep -q '^setup --buildtype=release ' "$calls"
told='<--greedy><The king><-n><10>' expected_set_ups=0
check 'the second time does not, and options and prompt go on as they are' tells "$checkout" --greedy 'The king' -n 10

# Moved, and copied beside what is still there.
mv "$checkout" "$temporary/moved house"
told='<x>' expected_set_ups=1
check 'a checkout that was moved is set up again' tells "$temporary/moved house" x
check 'with the options that it had' grep -q '^setup --wipe ' "$calls"
cp -R "$temporary/moved house" "$temporary/copied"
check 'one that was copied, too' tells "$temporary/copied" x
expected_set_ups=0
check 'the original is not' tells "$temporary/moved house" x

old_meson() {
  rm -rf "$temporary/copied/build"
  : > "$calls"
  MESON_VERSION=0.61.2 "$temporary/copied/examples/run.sh" > "$temporary/words" 2>&1 && return 1
  equal "$(cat "$temporary/words")" \
    'meson 0.61.2 is too old: 1.0.0 or later is needed, as in Debian 12 and Ubuntu 24.04'
}
check 'a meson that is too old is named in one line' old_meson

# run_tests WORDS...: the end of what tests/run.sh of the checkout $tested prints; it must fail.
tested=$temporary/copied
run_tests() {
  : > "$calls"
  "$tested/tests/run.sh" "$@" > "$temporary/words" 2>&1 && return 1
  tail -n 2 "$temporary/words"
}

unknown_test() {
  equal "$(run_tests json TYPO)" \
    'no such test: TYPO (meson test -C build-tests/release --list tells their names)
0 passed, 1 failed'
}
check 'tests/run.sh names a test that is not there' unknown_test
check 'it has set up four builds' equal "$(set_ups)" 4
run_tests TYPO > "$temporary/words"
check 'and does so once' equal "$(set_ups)" 0
mv "$temporary/copied" "$temporary/elsewhere"
tested=$temporary/elsewhere
run_tests TYPO > "$temporary/words"
check 'but again when the checkout was moved' equal "$(set_ups)" 4

# ---- .ci/run, with tests that pass and an examples/run.sh that prints what it is made to ----

mkdir -p "$temporary/ci/.ci" "$temporary/ci/tests" "$temporary/ci/examples" && cp .ci/run "$temporary/ci/.ci/" || exit 1
printf '%s\n' '#!/bin/sh' 'echo "5 passed, 0 failed"' > "$temporary/ci/tests/run.sh"
printf '%s\n' '#!/bin/sh' "$(printf 'case $# in\n0) %s ;;\n*) %s ;;\nesac' \
  'printf "%s%100s" "$STORY" .' 'printf "%s" "$GREEDY"; test "$1" != --greedy || printf "%s" "$REST"')" \
  > "$temporary/ci/examples/run.sh"
chmod +x "$temporary/ci/tests/run.sh" "$temporary/ci/examples/run.sh"

# judges STORY GREEDY REST LAST: the last line when run.sh prints these, REST only for options before the prompt.
judges() {
  equal "$(STORY=$1 GREEDY=$2 REST=$3 "$temporary/ci/.ci/run" | tail -n 1)" "$4"
}

once='Once upon a time' king='The king was so delighted with his newly-gown'
check '.ci/run counts the stories with the tests' judges "$once" "$king" '' '7 passed, 0 failed'
check 'a word before the story fails it' judges "ninja: no work to do.
$once" "$king" '' '6 passed, 1 failed'
check 'another story does' judges "$once" 'The king was dead' '' '6 passed, 1 failed'
check 'a line behind it does' judges "$once" "$king
" '' '6 passed, 1 failed'
check 'so does another one when options come first' judges "$once" "$king" ' indeed' '6 passed, 1 failed'
finish
