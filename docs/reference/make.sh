#!/bin/sh
# make.sh - writes the reference of the header as HTML. What doxygen warns of is an error.
#
#   make.sh DOXYGEN HEADER VERSION FOLDER
#
# FOLDER is made anew.
set -eu
here=$(dirname "$(readlink -f "$0")")
rm -rf "$4"
mkdir -p "$4"
header=$(readlink -f "$2") folder=$(readlink -f "$4")
{
  cat "$here/Doxyfile"
  printf '%s = "%s"\n' INPUT "$header" STRIP_FROM_PATH "$(dirname "$header")" OUTPUT_DIRECTORY "$folder" \
    INPUT_FILTER "python3 '$here/filter.py'" PROJECT_NUMBER "$3"
} | (cd "$folder" && "$1" -)
# Where it was made is nobody's business.
sed -i 's|<path>.*</path>|<path></path>|' "$folder/gpt2.tag"
