#!/usr/bin/env python3
"""filter.py - gpt2.h as doxygen wants to read it, so that the header itself can keep plain comments.

    filter.py HEADER

Comments become documentation of what follows them or stands before them in the line; headings become groups; names
become links, so that doxygen warns of one that does not exist. Every line stays where it is: warnings name the lines
of the header.
"""
import re
import sys

HEADING = re.compile(r'/\* ---- (.*?) -+ \*/')
STATUS = re.compile(r'  X\((\w+), (-?\d+), "(.*)"\)')
FUNCTION = re.compile(r'GPT2_API .*?[ *](gpt2_\w+)\(')
MACRO = re.compile(r'#define (GPT2_\w+) \d')
# A name that is whole: not the beginning of several (GPT2_LOAD_...), not a file's, not one in quotes.
NAME = re.compile(r'(?<![\w#/".])((?:gpt2|GPT2)_\w*[A-Za-z0-9])(?!\w|_?\.\.\.|\()(?:\.(?=[a-z])(\w+))?')

# Fields that mean the same in every struct, and are explained once, at the top.
USUAL_FIELDS = {
    'uint32_t struct_size;': 'The size of the struct, set by the caller.',
    'uint32_t reserved;': 'Zero.',
    'int32_t reserved;': 'Zero.',
}


def group_id(title):
    return re.sub(r'\W+', '_', title.partition(':')[0]).lower()


def opening(text):
    """The first comment is the file's and, but for its first line, the main page."""
    comment, end, rest = text.partition('*/')
    first, _, page = documentation(comment).partition('\n')
    first = first.replace('/* gpt2.h - ', '/** @file gpt2.h @brief ')
    return f'{first} */ /** @mainpage libgpt2\n{page}{end}{rest}'


def groups(text):
    """Each heading ends the group before it; the last one ends where the declarations do."""
    ends = iter([''] + ['/** @} */ '] * text.count('/* ---- '))
    text = HEADING.sub(lambda heading: f'{next(ends)}/** @defgroup {group_id(heading[1])} {heading[1]} */ /** @{{ */', text)
    before, end, after = text.rpartition('\n\n#ifdef __cplusplus')
    return f'{before}\n{next(ends)}{end[1:]}{after}'


def statuses(text):
    """The values of the enum that a macro makes, each with its sentence."""
    values = ' '.join(f'GPT2_{name} = {value}, /**< {sentence} */' for name, value, sentence in STATUS.findall(text))
    text = text.replace('  GPT2_STATUS_MAP(GPT2_STATUS_VALUE)', values)
    return re.sub(r'#(define|undef) GPT2_STATUS_VALUE.*', '', text)


def usual_field(line):
    meaning = USUAL_FIELDS.get(line.strip())
    return f'{line} /**< {meaning} */' if meaning else line


def copied(lines):
    """Several functions, or macros, below one comment have it all."""
    first = None
    for line in lines:
        named = FUNCTION.match(line) or MACRO.match(line)
        if not line or line.startswith('/*'):
            first = None
        elif named and first:
            line = f'/** @copydoc {first} */ {line}'
        elif named:
            first = named[1]
        yield line


def link(name):
    return f'#{name[1]}::{name[2]}' if name[2] else f'#{name[1]}'


def documentation(comment):
    """A comment with links for names. Lines that are indented are a program."""
    lines = [line if re.match(r' \* {5}', line) else NAME.sub(link, line) for line in comment.split('\n')]
    return '\n'.join(lines).replace('Since:', '@since')


def documented(text):
    """Every comment with code before it in its line belongs to that, every other one to what follows."""
    def replace(comment):
        if comment[2].startswith('/**'):
            return comment[0]
        trailing = comment[1].strip()
        return comment[1] + documentation(comment[2]).replace('/*', '/**<' if trailing else '/**', 1)
    return re.sub(r'^([^\n]*?)(/\*.*?\*/)', replace, text, flags=re.MULTILINE | re.DOTALL)


def main(path):
    with open(path, encoding='utf-8') as header:
        text = header.read()
    text = documented(statuses(groups(opening(text))))
    print('\n'.join(copied(map(usual_field, text.splitlines()))))


if __name__ == '__main__':
    main(sys.argv[1])
