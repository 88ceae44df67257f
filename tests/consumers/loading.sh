# loading.sh - the library that is loaded while a program runs: again and again, and several copies at once. To be
# sourced by consumers.sh. Each is tried with the processor's kernels, and with none of ours, where BLAS multiplies.
#
# $other is a shared library of another build.

tiny=$source/tests/fixtures/models/base

build_plugins() {
  # shellcheck disable=SC2046,SC2086
  $cc -std=c11 $warnings "$here/reload.c" -o "$work/reload" $(pkg-config --cflags gpt2) -pthread -ldl &&
    $cc -std=c11 $warnings -rdynamic "$here/several_copies.c" -o "$work/several_copies" \
      $(pkg-config --cflags --static --libs gpt2 | sed 's/-lgpt2/-l:libgpt2.a/') -pthread -ldl &&
    cp "$libraries/libgpt2.so.0" "$work/second.so"
}

# reload KERNELS: OpenBLAS comes and goes with the library.
reload() {
  GPT2_CPU=$1 "$work/reload" "$libraries/libgpt2.so.0" "$tiny" 1000
}

# several KERNELS MODEL: the archive in the program, which shows its functions to everybody, the shared library and a
# copy of it, and that of the other build.
several() {
  LD_LIBRARY_PATH='' GPT2_CPU=$1 \
    "$work/several_copies" "$2" "$libraries/libgpt2.so.0" "$work/second.so" "$other" > "$work/told" &&
    equal "$(cat "$work/told")" 62
}

check 'programs that load the library are built' build_plugins
for kernels in best scalar; do
  check "loaded and unloaded 1,000 times it leaves nothing behind ($kernels kernels)" reload "$kernels"
  check "four copies in one process compute what each does alone ($kernels kernels)" several "$kernels" "$tiny"
  check "four copies with a larger model, too ($kernels kernels)" several "$kernels" "$model"
done
