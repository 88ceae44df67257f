# options.sh - the options of libFuzzer that every run of a fuzzer has. To be sourced.
#
#   fuzz_options FOLDER NAME
#
# prints them: the longest input, so that there are many executions a second; an input that takes 10 seconds, 64 MB at a
# time or 512 MB in all, or leaves memory behind, is a finding; a dictionary where there is one.

export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:handle_abort=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer)
export ASAN_SYMBOLIZER_PATH
unset GPT2_CPU

fuzz_options() {
  case $2 in
    safetensors) echo -max_len=4096 ;;
    config) echo -max_len=3072 ;;
    tokenizer_json | vocabulary) echo -max_len=4096 ;;
    text) echo -max_len=256 ;;
    calls) echo -max_len=96 -entropic=0 ;;
  esac
  echo -timeout=10 -malloc_limit_mb=64 -rss_limit_mb=512 -detect_leaks=1 -print_final_stats=1 -verbosity=1
  if test -f "$1/$2.dict"; then
    echo "-dict=$1/$2.dict"
  fi
}
