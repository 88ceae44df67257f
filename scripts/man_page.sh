#!/bin/sh
# man_page.sh - writes a man page, made of its source in scdoc.
#
#   man_page.sh SCDOC SOURCE > PAGE
#
# Names of functions, constants and programs are kept from being hyphenated, which scdoc cannot ask for.
set -eu
page=$("$1" < "$2")
printf '%s\n' "$page" | sed 's/\\fB\(gpt2[_\\]\|GPT2_\)/\\fB\\%\1/g'
