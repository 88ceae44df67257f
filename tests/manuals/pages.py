"""pages.py - the man pages: rendered without warnings, and true.

    pages.py SOURCE_ROOT PROGRAMS_FOLDER PAGES_FOLDER LIBRARY_FOLDER MODEL CC

A page of a program has the options of --help with their arguments and defaults, the same usage and the same exit
statuses. gpt2(3) names every function under the heading that it has in the header, and its example runs. The pages are
read as man shows them. A default stands in parentheses at the end of an option's first paragraph.
"""
import json
import os
import re
import shutil
import sys
import tempfile

from program_help import PROGRAMS, Option, default_of, help_of, run, values_of
from tap import Tap, differences

root, programs, pages, library, model, compiler = sys.argv[1:]
SECTIONS = [f'{program}.1' for program in PROGRAMS] + ['gpt2.3']
PLAIN = {**os.environ, 'LC_ALL': 'C.UTF-8', 'MANROFFSEQ': '', 'MANWIDTH': '1000'}
PLAIN.pop('MAN_KEEP_FORMATTING', None)


def page_path(name):
    return os.path.join(pages, name)


def program_path(name):
    return os.path.join(programs, name)


# ---- A page as man shows it ----


def render(name):
    """So wide that a paragraph is one line."""
    return run('man', '-l', page_path(name), env=PLAIN).stdout


def sections(text):
    """The lines under each heading."""
    found = {}
    lines = []
    for line in text.splitlines():
        if re.match(r'[A-Z]', line):
            lines = found.setdefault(line.strip(), [])
        else:
            lines.append(line)
    return found


def entries(lines):
    """What stands at the margin, with the paragraphs that are indented below it."""
    found = []
    for line in lines:
        if re.match(r' {7}\S', line):
            found.append((line.strip(), []))
        elif found and re.match(r' {11}\S', line):
            found[-1][1].append(line.strip())
    return found


def page_options(text):
    for head, paragraphs in entries(sections(text)['OPTIONS']):
        words = head.split(' ')
        argument = words.pop() if not words[-1].startswith('-') else ''
        yield Option(tuple(word.rstrip(',') for word in words), argument, default_of(paragraphs[0]))


# ---- Beside --help ----


def compare(text, told):
    """What the page says otherwise than --help."""
    found = {option.names: option for option in page_options(text)}
    expected = {option.names: option for option in told.options}
    for names in found.keys() | expected.keys():
        yield from differences(' '.join(names), found.get(names), expected.get(names))
    parts = sections(text)
    yield from differences('usage', ' '.join(parts['SYNOPSIS']).strip(), told.usage)
    statuses = [(head, paragraphs[0].split('.')[0].lower()) for head, paragraphs in entries(parts['EXIT STATUS'])]
    yield from differences('exit statuses', statuses, [(number, word.lower()) for number, word in told.exit_statuses])


def same_as_help(program):
    return compare(render(f'{program}.1'), help_of(program_path(program)))


def lies(text):
    """The page with one thing changed, each time another; and what was changed."""
    for line in re.findall(r'^ {7}-.*\n', text, re.MULTILINE):
        yield f'without {line.strip()}', text.replace(line, '')
        if argument := re.search(r' [A-Z]+$', line.rstrip('\n')):
            yield f'another argument in {line.strip()}', text.replace(line, line.replace(argument[0], ' OTHER'))
        yield f'with --else beside {line.strip()}', text.replace(line, f'       --else\n           Else.\n\n{line}')
    for line in re.findall(r'^ {11}.*\)\.$', sections_text(text, 'OPTIONS'), re.MULTILINE):
        default = default_of(line)
        yield f'another default in {line.strip()}', text.replace(line, line.replace(f'({default})', '(7777)'))
        yield f'no default in {line.strip()}', text.replace(line, line.replace(f' ({default})', ''))
    for number in ['0', '1', '2', '130']:
        yield f'another exit status than {number}', re.sub(rf'^ {{7}}{number}$', '       77', text, flags=re.MULTILINE)


def sections_text(text, name):
    return '\n'.join(sections(text)[name])


def notices_lies(program):
    text = render(f'{program}.1')
    told = help_of(program_path(program))
    for what, changed in lies(text):
        if not any(compare(changed, told)):
            yield f'nobody notices {what}'


def names_values(program):
    """Values out of a few are in the description, or have entries of their own under MEASUREMENTS."""
    parts = sections(render(f'{program}.1'))
    listed = [head for head, _ in entries(parts.get('MEASUREMENTS', []))]
    for head, paragraphs in entries(parts['OPTIONS']):
        option = head.split(' ')[-2] if ' ' in head else head
        values = values_of(program_path(program), option) if option.startswith('--') else None
        words = re.findall(r'\w+', ' '.join(paragraphs))
        if values and 'MEASUREMENTS' in paragraphs[0]:
            yield from differences(option, listed, values)
        elif values:
            yield from (f'{option} does not name {value}' for value in values if value not in words)


def keys(value):
    if isinstance(value, dict):
        return set(value) | set().union(*map(keys, value.values()))
    return set().union(*map(keys, value)) if isinstance(value, list) else set()


def same_json(program, *arguments):
    """The keys of the object that is printed for a text."""
    shown = sections_text(render(f'{program}.1'), 'OUTPUT IN JSON')
    printed = run(program_path(program), '--json', '--model', model, *arguments).stdout
    yield from differences('keys', set(re.findall(r'"(\w+)"', shown)), keys(json.loads(printed)))


def right_version(name):
    version = run(program_path('gpt2-info'), '--version').stdout.split()[1]
    if f'libgpt2 {version} ' not in render(name).splitlines()[-1]:
        yield f'its last line does not say libgpt2 {version}'


# ---- gpt2(3) beside the header ----


def header_groups(header):
    """Each heading of the header, up to a colon, with the functions under it in order."""
    groups = []
    for line in header.splitlines():
        if heading := re.match(r'/\* ---- (.*?)(:.*)? -+ \*/', line):
            groups.append((heading[1], []))
        elif function := re.match(r'GPT2_API .*?[ *](gpt2_\w+)\(', line):
            groups[-1][1].append(function[1])
    return [(heading, sorted(functions)) for heading, functions in groups]


def page_groups(text):
    groups = []
    for line in sections(text)['FUNCTIONS']:
        if heading := re.match(r' {3}(\S.*)', line):
            groups.append((heading[1], []))
        elif groups:
            groups[-1][1].extend(re.findall(r'(gpt2_\w+)\(\)', line))
    return [(heading, sorted(functions)) for heading, functions in groups]


def read(*path):
    with open(os.path.join(root, *path), encoding='utf-8') as file:
        return file.read()


def names_functions():
    """All of symbols.txt, each once, where the header has it; and no other anywhere in the page."""
    text = render('gpt2.3')
    symbols = {line for line in read('tests/house/symbols.txt').splitlines() if not line.startswith('#')}
    found = page_groups(text)
    yield from differences('groups', found, header_groups(read('include/gpt2.h')))
    yield from differences('functions', {name for _, names in found for name in names}, symbols)
    for name in set(re.findall(r'(gpt2_\w+)\(', text)) - symbols:
        yield f'there is no {name}()'


def names_what_exists():
    """Types, constants and errors."""
    text, header = render('gpt2.3'), read('include/gpt2.h')
    statuses = {f'GPT2_{name}' for name in re.findall(r'X\((ERR_\w+), ', header)}
    known = set(re.findall(r'\bg?G?[pP][tT]2_\w+', header)) | statuses | {'GPT2_CPU'}
    for name in set(re.findall(r'\b(?:gpt2|GPT2)_\w+', text)) - known:
        yield f'there is no {name}'
    listed = {head for head, _ in entries(sections(text)['ERRORS']) if head.startswith('GPT2_')}
    yield from differences('errors', listed, statuses)


def example_program(folder):
    lines = sections(render('gpt2.3'))['EXAMPLE']
    code = '\n'.join(lines[next(i for i, line in enumerate(lines) if '#include' in line):])
    with open(os.path.join(folder, 'example.c'), 'w', encoding='utf-8') as file:
        file.write(code)
    program = os.path.join(folder, 'example')
    built = run(*compiler.split(), '-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror', f'-I{root}/include',
                os.path.join(folder, 'example.c'), '-o', program, f'-L{library}', '-lgpt2')
    if built.returncode != 0:
        raise RuntimeError(built.stderr)
    return program


def example_runs():
    """It tells what gpt2-generate tells."""
    with tempfile.TemporaryDirectory() as folder:
        program = example_program(folder)
        where = {**os.environ, 'LD_LIBRARY_PATH': library}
        prompt = 'Once upon a time'
        told = run(program, model, prompt, env=where)
        known = run(program_path('gpt2-generate'), '--greedy', '-n', '20', '-m', model, prompt)
        yield from differences('the story', told.stdout, known.stdout + '\n')
        refused = run(program, folder, prompt, env=where)
        if refused.returncode != 1 or folder not in refused.stderr:
            yield f'a folder without a model: {refused}'


# ---- How they are written ----


def warnings_of_man(name):
    told = run('man', '--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', page_path(name), env=PLAIN)
    if told.returncode != 0:
        yield f'man: exit status {told.returncode}'
    yield from told.stderr.splitlines()


def warnings_of_mandoc(name):
    """Paragraphs that come straight after a heading, or have nothing in them, are how scdoc writes."""
    told = run('mandoc', '-T', 'lint', '-W', 'warning', page_path(name))
    yield from (line for line in told.stdout.splitlines() if 'skipping paragraph macro' not in line)


def too_wide():
    for folder, _, names in os.walk(os.path.join(root, 'docs/man')):
        for path in (os.path.join(folder, name) for name in names if name.endswith('.scd')):
            with open(path, encoding='utf-8') as file:
                for number, line in enumerate(file, 1):
                    if len(line.rstrip('\n').expandtabs(4)) > 120 or line.rstrip('\n') != line.rstrip():
                        yield f'{path}:{number}: {line}'


def unmade():
    """Each page's source is in the build."""
    written = {name[:-4] for name in os.listdir(os.path.join(root, 'docs/man')) if name.endswith('.scd')}
    yield from differences('pages', written, set(SECTIONS))
    yield from (f'{name} was not made' for name in SECTIONS if not os.path.exists(page_path(name)))


def main():
    tap = Tap()
    tap.check('no line of a source has more than 120 columns, or ends in blanks', too_wide)
    if not os.path.exists(page_path('gpt2.3')):
        tap.skip('the man pages', 'scdoc is not installed, so none were made')
        tap.finish()
    tap.check('every source becomes a page', unmade)
    for name in SECTIONS:
        tap.check(f'man renders {name} without a warning', warnings_of_man, name)
        if shutil.which('mandoc'):
            tap.check(f'mandoc has nothing to say against {name}', warnings_of_mandoc, name)
        else:
            tap.skip(f'mandoc has nothing to say against {name}', 'mandoc is not installed')
        tap.check(f'{name} is of this version', right_version, name)
    for program in PROGRAMS:
        tap.check(f'{program}.1 says what --help says', same_as_help, program)
        tap.check(f'any other option, argument, default or exit status in {program}.1 is noticed', notices_lies, program)
        tap.check(f'{program}.1 names the values that options take', names_values, program)
    tap.check('gpt2-generate.1 has the keys of its JSON', same_json, 'gpt2-generate', '-n', '1', 'Once')
    tap.check('gpt2-score.1 has the keys of its JSON', same_json, 'gpt2-score', 'Once')
    tap.check('gpt2-tokenize.1 has the keys of its JSON', same_json, 'gpt2-tokenize', 'Once')
    tap.check('gpt2.3 names every function where the header has it, and no other', names_functions)
    tap.check('gpt2.3 names types, constants and errors that exist, and all errors', names_what_exists)
    tap.check('the example in gpt2.3 continues a text, and says which model it could not open', example_runs)
    tap.finish()


if __name__ == '__main__':
    main()
