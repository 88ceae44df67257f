#!/usr/bin/env python3
"""coverage.py - judges how much of the library the tests run through.

    coverage.py COVERAGE DOCUMENT

COVERAGE is what `gcovr --json` wrote. Prints the share of lines and branches of each layer, and every line that was
not reached. The exit status is 1 if a layer has less than it must, or if a file with such lines is not named in the
section `Not covered` of DOCUMENT, which says why they are not.
"""
import json
import re
import sys

# Least percent of lines and of branches. What reads files and texts of strangers must be tried in every direction.
LEAST = {'base': (97, 90), 'formats': (97, 90), 'tokenizer': (97, 90)}
LEAST_ELSEWHERE = (95, 0)


class Layer:
    def __init__(self):
        self.lines = self.lines_run = self.branches = self.branches_taken = 0

    def add(self, lines):
        self.lines += len(lines)
        self.lines_run += sum(line['count'] > 0 for line in lines)
        branches = [branch for line in lines for branch in line['branches']]
        self.branches += len(branches)
        self.branches_taken += sum(branch['count'] > 0 for branch in branches)

    def shares(self):
        return 100 * self.lines_run / self.lines, 100 * self.branches_taken / max(1, self.branches)


def lines_of(file):
    return [line for line in file['lines'] if not line.get('gcovr/noncode')]


def judge_layers(files):
    """Prints the table; whether every layer has what it must."""
    layers = {}
    for file in files:
        layers.setdefault(file['file'].split('/')[1], Layer()).add(lines_of(file))
    enough = True
    print('layer       lines  branches')
    for name, layer in layers.items():
        shares, least = layer.shares(), LEAST.get(name, LEAST_ELSEWHERE)
        short = any(share < limit for share, limit in zip(shares, least))
        enough = enough and not short
        wanted = f'  FAILED: at least {least[0]}% and {least[1]}%' if short else ''
        print(f'{name:10} {shares[0]:5.1f}%    {shares[1]:5.1f}%{wanted}')
    return enough


def judge_lines(files, explained):
    """Prints the lines that were not reached; whether all their files are explained."""
    enough = True
    for file in files:
        missing = [line['line_number'] for line in lines_of(file) if line['count'] == 0]
        if not missing:
            continue
        with open(file['file'], encoding='utf-8') as source:
            text = source.read().splitlines()
        for number in missing:
            print(f"{file['file']}:{number}: {text[number - 1].strip()}")
        if f"`{file['file'].removeprefix('src/')}`" not in explained:
            enough = False
            print(f"FAILED: the section `Not covered` does not name {file['file']}")
    return enough


def main(coverage, document):
    with open(coverage, encoding='utf-8') as told:
        files = [file for file in json.load(told)['files'] if lines_of(file)]
    with open(document, encoding='utf-8') as text:
        section = re.search(r'^## Not covered\n(.*?)(?=^## |\Z)', text.read(), re.MULTILINE | re.DOTALL)
    judged = [judge_layers(files), judge_lines(files, section[1] if section else '')]
    return 0 if all(judged) else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
