"""completions.py - bash and zsh offer the options of --help, the values that the programs take, and nothing else.

    completions.py SOURCE_ROOT PROGRAMS_FOLDER
"""
import os
import shutil
import sys
import tempfile

import shells
from program_help import PROGRAMS, help_of, values_of
from tap import Tap, differences

root, programs = sys.argv[1:]
FOLDERS = ['a model', 'others']
WEIGHTS = ['b.safetensors', 'b.safetensors.index.json', 'c d.safetensors']
FILES = ['a text', 'notes.txt']


def same(shell, line, expected):
    """What is offered for the end of the line. bash says --option= once, zsh each time."""
    option = line.split(' ')[-1].partition('=')
    before = ''.join(option[:2]) if option[1] else ''
    found = [offer[len(before):] if offer.startswith(before) else offer for offer in shell.offered(line)]
    yield from differences(line, sorted(found), sorted(expected))


def option_names(program):
    return [name for option in help_of(os.path.join(programs, program)).options for name in option.names]


def offers_options(shell, program):
    names = option_names(program)
    yield from same(shell, f'{program} -', names)
    yield from same(shell, f'{program} --', [name for name in names if name.startswith('--')])
    yield from same(shell, f'{program} --v', ['--version'])
    yield from same(shell, f'{program} --threads 2 --v', ['--version'])
    yield from same(shell, f'{program} --threads=2 --v', ['--version'])


def offers_no_options(shell, program):
    """Where a text begins that is no option, and after --."""
    yield from same(shell, f'{program} v', [])
    yield from same(shell, f'{program} -- -', [])
    yield from same(shell, f'{program} --json=', [])


def expected_values(program, option):
    names = values_of(os.path.join(programs, program), option.names[-1])
    return names or {'PATH': FOLDERS + WEIGHTS, 'FILE': FOLDERS + WEIGHTS + FILES}.get(option.argument, [])


def offers_values(shell, program):
    for option in help_of(os.path.join(programs, program)).options:
        expected = expected_values(program, option)
        if option.argument:
            for name in option.names:
                yield from same(shell, f'{program} {name} ', expected)
            yield from same(shell, f'{program} {option.names[-1]}=', expected)
            for start in {value[0] for value in expected}:
                those = [value for value in expected if value.startswith(start)]
                yield from same(shell, f'{program} {option.names[-1]} {start}', those)
                yield from same(shell, f'{program} {option.names[-1]}={start}', those)


def continues_lists(shell, option):
    """Names that stand there are not offered again."""
    first, *others = values_of(os.path.join(programs, 'gpt2-bench'), option)
    for sign in [' ', '=']:
        listed = [f'{first},{name}' for name in others]
        yield from same(shell, f'gpt2-bench {option}{sign}{first},', listed)
        start = f'{first},{others[0]}'
        yield from same(shell, f'gpt2-bench {option}{sign}{start[:-1]}', [name for name in listed if name.startswith(start[:-1])])


def uncut_words(shell):
    """bash can be told not to cut words at =. Names of files are then not offered, since they would have to be quoted."""
    shell.type("COMP_WORDBREAKS=${COMP_WORDBREAKS//=}\r")
    yield from same(shell, 'gpt2-info --compute=', values_of(os.path.join(programs, 'gpt2-info'), '--compute'))
    yield from same(shell, 'gpt2-bench --kv=f3', ['f32'])
    yield from same(shell, 'gpt2-bench --model=', [])
    yield from same(shell, 'gpt2-bench --text=', [])


def try_shell(tap, name, make, script, folder):
    shell = make(os.path.join(root, 'examples/completions', script), folder, PROGRAMS)
    for program in PROGRAMS:
        tap.check(f'{name} offers the options of {program}, and no others', offers_options, shell, program)
        tap.check(f'{name} offers no options of {program} where none may stand', offers_no_options, shell, program)
        tap.check(f'{name} offers the values that options of {program} take, and no others', offers_values, shell, program)
    for option in ['--what', '--types']:
        tap.check(f'{name} continues the list of {option}', continues_lists, shell, option)
    if name == 'bash':
        tap.check('bash does so where it leaves words with = whole', uncut_words, shell)
    shell.close()


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        for name in FOLDERS:
            os.mkdir(os.path.join(folder, name))
        for name in WEIGHTS + FILES:
            with open(os.path.join(folder, name), 'w', encoding='utf-8'):
                pass
        for name, make, script in [('bash', shells.bash, 'gpt2.bash'), ('zsh', shells.zsh, '_gpt2')]:
            if shutil.which(name):
                try_shell(tap, name, make, script, folder)
            else:
                tap.skip(f'completions for {name}', f'{name} is not installed')
    tap.finish()


if __name__ == '__main__':
    main()
