"""program_help.py - what a program says of itself: its --help, and the values that its options take.

Manual and completions are compared with this."""
import re
import subprocess
from collections import namedtuple

PROGRAMS = ['gpt2-generate', 'gpt2-tokenize', 'gpt2-score', 'gpt2-info', 'gpt2-bench']

# names: as in ('-n', '--tokens'); argument and default: '' where there is none.
Option = namedtuple('Option', 'names argument default')
Help = namedtuple('Help', 'usage options exit_statuses')

OPTION = re.compile(r'(?: {2}(-\w), | {6})(--[\w-]+)(?: ([A-Z]+))? {2,}(\S.*)')
MORE = re.compile(r' {24}(\S.*)')
DEFAULT = re.compile(r'\(([^()]+)\)\.?$')
STATUS = re.compile(r'(\d+) ([^,.]+)')


def run(command, *arguments, **options):
    """What the command printed, and how it ended."""
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=False, timeout=120,
                          stdin=subprocess.DEVNULL, **options)


def default_of(description):
    """What stands in parentheses at the end."""
    found = DEFAULT.search(description)
    return found[1] if found else ''


def read_help(text):
    """An option that is told twice (gpt2-bench has more to say about --threads) is what was told first, with the
    default that was told last."""
    told = {}
    names = None
    for line in text.splitlines():
        if option := OPTION.fullmatch(line):
            names = tuple(name for name in option.group(1, 2) if name)
            told.setdefault(names, (option[3] or '', []))[1].append(option[4])
        elif names and (more := MORE.fullmatch(line)):
            told[names][1].append(more[1])
    options = [Option(names, argument, default_of(' '.join(words))) for names, (argument, words) in told.items()]
    usage = re.match(r'Usage: (.*)', text)[1]
    statuses = re.search(r'^Exit status: (.*)', text, re.MULTILINE)[1]
    return Help(usage, options, STATUS.findall(statuses))


def help_of(program):
    return read_help(run(program, '--help').stdout)


def values_of(program, option):
    """The names that an option takes: the program tells them when it is given another. None where it takes no names,
    but a number, a file or a text."""
    answer = run(program, f'{option}=nothing_like_it', '--model=/nowhere').stderr
    allowed = re.search(r'is none of (.*)\n', answer)
    return allowed[1].split(', ') if allowed else None
