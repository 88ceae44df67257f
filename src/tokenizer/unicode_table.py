#!/usr/bin/env python3
"""Writes unicode_table.h: what the tokenizer must know of every code point.

Letters (L*) and numbers (N*) are the general categories of Unicode 16.0, from PyPI's
unicodedata2==16.0.0. White space is the property White_Space (PropList.txt), and word characters
are the \\w of Unicode Technical Standard 18, Annex C: Alphabetic, marks, decimal numbers, connector
punctuation and the two joiners. Python has no interface to these properties; they are small enough
to be written down here. tests/fixtures/tokenizer_fixtures.py compares the result with tokenizers
and tiktoken over all code points.

    python unicode_table.py > unicode_table.h
"""
import textwrap

import unicodedata2

VERSION = "16.0.0"
BLOCK_BITS = 8
OTHER, LETTER, NUMBER, SPACE, WORD = 0, 1, 2, 3, 4

WHITE_SPACE = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
               0x2028, 0x2029, 0x202F, 0x205F, 0x3000}

# Alphabetic is L*, Nl and Other_Alphabetic: marks, and these circled and squared letters.
OTHER_ALPHABETIC = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A),
                    *range(0x1F170, 0x1F18A)}
JOINERS = {0x200C, 0x200D}

TEMPLATE = """\
/* unicode_table.h - what the tokenizer must know of every code point. Written by unicode_table.py:
 * do not edit.
 *
 * A code point's class is four bits: 0 other, 1 letter, 2 number, 3 white space, plus 4 for a word
 * character. Equal blocks of code points are stored once: unicode_blocks tells which block of
 * unicode_classes a code point is in. A number holds sixteen classes, the first one lowest. */
#ifndef TOKENIZER_UNICODE_TABLE_H
#define TOKENIZER_UNICODE_TABLE_H

#include <stdint.h>

#define UNICODE_VERSION "{version}"

enum {{ UNICODE_BLOCK_BITS = {bits}, UNICODE_N_BLOCKS = {n_blocks} }};

static const uint8_t unicode_blocks[0x110000 >> UNICODE_BLOCK_BITS] = {{
{numbers}
}};

static const uint64_t unicode_classes[UNICODE_N_BLOCKS << UNICODE_BLOCK_BITS >> 4] = {{
{words}
}};

#endif
"""


def class_of(code_point):
    category = unicodedata2.category(chr(code_point))
    kind = {"L": LETTER, "N": NUMBER}.get(category[0], OTHER)
    if code_point in WHITE_SPACE:
        kind = SPACE
    is_word = (category[0] in "LM" or category in ("Nd", "Nl", "Pc")
               or code_point in OTHER_ALPHABETIC or code_point in JOINERS)
    return kind | (WORD if is_word else 0)


def table():
    """(the number of the block of each 2^BLOCK_BITS code points, the different blocks)."""
    numbers, blocks = [], {}
    for first in range(0, 0x110000, 1 << BLOCK_BITS):
        block = tuple(class_of(first + i) for i in range(1 << BLOCK_BITS))
        numbers.append(blocks.setdefault(block, len(blocks)))
    return numbers, list(blocks)


def packed(block):
    """The block's classes, sixteen to a 64-bit number."""
    return [sum(kind << 4 * i for i, kind in enumerate(block[at:at + 16]))
            for at in range(0, len(block), 16)]


def filled(values):
    text = ", ".join(values) + ","
    return textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="  ")


def main():
    if unicodedata2.unidata_version != VERSION:
        raise SystemExit(f"unicodedata2 has Unicode {unicodedata2.unidata_version}, not {VERSION}")
    numbers, blocks = table()
    words = [f"{word:#x}" for block in blocks for word in packed(block)]
    print(TEMPLATE.format(version=VERSION, bits=BLOCK_BITS, n_blocks=len(blocks),
                          numbers=filled(map(str, numbers)), words=filled(words)), end="")


if __name__ == "__main__":
    main()
