"""installed.py - man pages and completions, installed below DESTDIR: where they belong, and found there.

    installed.py BUILD_FOLDER
"""
import json
import os
import shutil
import sys
import tempfile

import shells
from program_help import PROGRAMS, run
from tap import Tap, differences

build = sys.argv[1]
BASH_COMPLETION = '/usr/share/bash-completion/bash_completion'


def build_options():
    with open(os.path.join(build, 'meson-info/intro-buildoptions.json'), encoding='utf-8') as file:
        return {option['name']: option['value'] for option in json.load(file)}


options = build_options()
prefix, data, manuals = options['prefix'], options['datadir'], options['mandir']


def install(folder):
    """Nothing is built: this is part of a run of the tests."""
    told = run('meson', 'install', '-C', build, '--no-rebuild', '--tags', 'man,completions', '--destdir', folder)
    if told.returncode != 0:
        yield from (told.stdout + told.stderr).splitlines()[-30:]


def everything(folder, has_pages):
    """These files, and no others."""
    expected = {f'{data}/bash-completion/completions/{program}' for program in PROGRAMS} | {f'{data}/zsh/site-functions/_gpt2'}
    if has_pages:
        expected |= {f'{manuals}/man1/{program}.1' for program in PROGRAMS} | {f'{manuals}/man3/gpt2.3'}
    below = folder + prefix
    found = {os.path.relpath(os.path.join(path, name), below) for path, _, names in os.walk(folder) for name in names}
    yield from differences('files', sorted(found), sorted(expected))
    yield from (f'{name} is empty, or leads nowhere' for name in found
                if not os.path.exists(os.path.join(below, name)) or not os.path.getsize(os.path.join(below, name)))


def man_finds(folder):
    pages = os.path.join(folder + prefix, manuals)
    for section, name in [('3', 'gpt2')] + [('1', program) for program in PROGRAMS]:
        told = run('man', '-M', pages, '-w', section, name)
        yield from differences(name, told.stdout.strip(), os.path.join(pages, f'man{section}', f'{name}.{section}'))


def shell_finds(make, script, folder, environment):
    """Only the shell's own way leads to the completions: in a new shell for each program, since one brings all."""
    for program in PROGRAMS:
        shell = make(script, folder, PROGRAMS, **environment)
        yield from differences(program, shell.offered(f'{program} --vers'), ['--version'])
        shell.close()


def main():
    tap = Tap()
    has_pages = bool(shutil.which('scdoc')) and options['man'] != 'disabled'
    with tempfile.TemporaryDirectory() as folder:
        tap.check('meson installs them', install, folder)
        tap.check('every file is where it belongs, and there are no others', everything, folder, has_pages)
        if has_pages:
            tap.check('man finds the pages', man_finds, folder)
        else:
            tap.skip('man finds the pages', 'scdoc is not installed, so none were made')
        share = os.path.join(folder + prefix, data)
        if os.path.exists(BASH_COMPLETION):
            tap.check('bash-completion finds the completions of every program', shell_finds, shells.bash, BASH_COMPLETION,
                      folder, {'XDG_DATA_DIRS': share})
        else:
            tap.skip('bash-completion finds the completions of every program', 'bash-completion is not installed')
        if shutil.which('zsh'):
            tap.check('zsh finds the completions of every program', shell_finds, shells.zsh,
                      os.path.join(share, 'zsh/site-functions/_gpt2'), folder, {})
        else:
            tap.skip('zsh finds the completions of every program', 'zsh is not installed')
    tap.finish()


if __name__ == '__main__':
    main()
