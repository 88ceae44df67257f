# gpt2.bash - what bash offers for gpt2-generate and its like: options, their values, names of files.
#
# A test compares it with --help, and with the values that the programs say they take.

# Prints the options of a program.
_gpt2_options() {
  local common='-m --model -t --threads --json -h --help --version'
  local weights='--weights --compute'
  case $1 in
    gpt2-generate)
      echo "-n --tokens --temperature --top-k --top-p --seed --greedy --stop --no-echo $weights $common" ;;
    gpt2-tokenize) echo "--decode --special -0 --null $common" ;;
    gpt2-score) echo "--stride --no-bos $weights $common" ;;
    gpt2-info) echo "$weights $common" ;;
    gpt2-bench)
      echo "--what --types --compute --kv --prefault --huge-pages --repeat --quick --text --compare --accuracy $common" ;;
  esac
}

# Prints the names that an option takes; fails if it takes something else.
_gpt2_names() {
  case $1 in
    --weights | --types) echo 'stored f32 f16 bf16 q8_0 q4_0' ;;
    --compute) echo 'default exact fast' ;;
    --kv) echo 'f32 f16' ;;
    --what) echo 'read sgemm decode busy batch prefill generate sample load memory encode decode_text' ;;
    *) return 1 ;;
  esac
}

# _gpt2_offer WORDS CURRENT [BEFORE]: those that begin so, with BEFORE in front of them.
_gpt2_offer() {
  mapfile -t COMPREPLY < <(compgen -P "${3-}" -W "$1" -- "$2")
}

# _gpt2_list NAMES CURRENT BEFORE: one more name after those that stand there, with commas between them.
_gpt2_list() {
  local name left=() last=${2##*,}
  for name in $1; do
    [[ ,$2 == *,"$name",* ]] || left+=("$name")
  done
  compopt -o nospace
  _gpt2_offer "${left[*]}" "$last" "$3${2%"$last"}"
}

# _gpt2_files OPTION CURRENT: names of files, for a model also those of folders.
_gpt2_files() {
  case $1 in
    -m | --model)
      compopt -o filenames -o plusdirs
      mapfile -t COMPREPLY < <(compgen -f -X '!*.safetensors' -- "$2"; compgen -f -X '!*.safetensors.index.json' -- "$2") ;;
    *) compopt -o default ;;
  esac
}

# _gpt2_value OPTION CURRENT BEFORE: the values of an option; fails if it takes none.
_gpt2_value() {
  local names
  case $1 in
    --types | --what)
      _gpt2_list "$(_gpt2_names "$1")" "$2" "$3" ;;
    -m | --model | --text | --compare | --accuracy)
      [[ -n $3 ]] || _gpt2_files "$1" "$2" ;;
    -n | --tokens | --temperature | --top-k | --top-p | --seed | --stop | --stride | --repeat | -t | --threads) ;;
    *)
      names=$(_gpt2_names "$1") && _gpt2_offer "$names" "$2" "$3" ;;
  esac
}

_gpt2() {
  local program=${1##*/} current=$2 option=$3 before='' assigned=''
  COMPREPLY=()
  # bash cuts --option=value at the sign, unless COMP_WORDBREAKS says otherwise.
  if [[ ${COMP_WORDS[COMP_CWORD]} == '=' ]]; then
    current='' assigned=yes
  elif [[ $option == '=' ]]; then
    option=${COMP_WORDS[COMP_CWORD - 2]} assigned=yes
  elif [[ $current == --*=* ]]; then
    option=${current%%=*} before=$option= current=${current#*=} assigned=yes
  fi
  # What follows -- is text.
  if [[ " ${COMP_WORDS[*]:1:COMP_CWORD-1} " == *' -- '* ]]; then
    return
  fi
  if ! _gpt2_value "$option" "$current" "$before" && [[ -z $assigned && ( -z $current || $current == -* ) ]]; then
    _gpt2_offer "$(_gpt2_options "$program")" "$current"
  fi
}

complete -F _gpt2 gpt2-generate gpt2-tokenize gpt2-score gpt2-info gpt2-bench
