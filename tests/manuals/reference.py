"""reference.py - the reference of the header as HTML: made without a warning, installed, and complete.

    reference.py SOURCE_ROOT WORK_FOLDER
"""
import os
import re
import shutil
import sys
import xml.etree.ElementTree as xml

from program_help import run
from tap import Tap, differences

root, work = sys.argv[1:]
installed = os.path.join(work, 'installed')
html = os.path.join(installed, 'usr/share/doc/gpt2/html')


def read(*path):
    with open(os.path.join(*path), encoding='utf-8') as file:
        return file.read()


header = read(root, 'include/gpt2.h')


def must(*command):
    """What the command says if it fails, or warns."""
    told = run(*command)
    if told.returncode != 0 or 'warning:' in told.stderr:
        yield f'{" ".join(command)}: exit status {told.returncode}'
        yield from (told.stdout + told.stderr).splitlines()[-30:]


def install():
    """As a packager does: the option, and what the tag `doc` installs."""
    build = os.path.join(work, 'build')
    shutil.rmtree(installed, ignore_errors=True)
    if not os.path.exists(os.path.join(build, 'build.ninja')):
        yield from must('meson', 'setup', build, root, '--prefix=/usr', '-Dreference=true', '-Dprograms=false')
    yield from must('meson', 'compile', '-C', build, 'reference')
    yield from must('meson', 'install', '-C', build, '--no-rebuild', '--tags', 'doc', '--destdir', installed)


def make(text):
    """Makes the reference of another header, and returns what doxygen said."""
    changed = os.path.join(work, 'changed', 'gpt2.h')
    os.makedirs(os.path.dirname(changed), exist_ok=True)
    with open(changed, 'w', encoding='utf-8') as file:
        file.write(text)
    return run(os.path.join(root, 'docs/reference/make.sh'), 'doxygen', changed, '0', os.path.join(work, 'changed', 'html'))


# ---- What is in it ----


def declared():
    """Every name that the header gives to its users, with its kind."""
    symbols = [('function', name) for name in read(root, 'tests/house/symbols.txt').splitlines() if name[0] != '#']
    structs = [('struct', name) for name in re.findall(r'^typedef struct (\w+) \{', header, re.MULTILINE)]
    values = re.findall(r'^  (GPT2_\w+) = ', header, re.MULTILINE)
    values += [f'GPT2_{name}' for name in re.findall(r'^  X\((\w+), ', header, re.MULTILINE)]
    types = re.findall(r'^typedef struct \w+ (\w+);|^typedef \w+ (gpt2_\w+);|\(\*(gpt2_\w+)\)', header, re.MULTILINE)
    types = [('typedef', name) for names in types for name in names if name]
    macros = re.findall(r'^#define (GPT2_\w+)(?:\(X\))? ', header, re.MULTILINE)
    macros = [('define', name) for name in macros if name not in ('GPT2_API', 'GPT2_H')]
    return symbols + structs + [('enumvalue', name) for name in values] + types + macros


def documented(folder):
    """Every name that has an entry, with the page and the place in it."""
    found = {}
    for compound in xml.parse(os.path.join(folder, 'gpt2.tag')).getroot():
        found[compound.get('kind'), compound.findtext('name')] = compound.findtext('filename'), None
        for member in compound.findall('member'):
            found[member.get('kind'), member.findtext('name')] = member.findtext('anchorfile'), member.findtext('anchor')
    return found


def explained(folder, kind, name, page, anchor):
    """Whether there is something to read. Of values doxygen itself does not care."""
    text = read(folder, page)
    if kind == 'struct':
        return 'Detailed Description' in text
    if kind == 'enumvalue':
        return re.search(rf'<a id="{anchor}"[^>]*></a>{name}&#160;</td><td class="fielddoc"><p ?>\w', text)
    return re.search(rf'<a id="{anchor}"', text)


def missing(folder):
    found = documented(folder)
    for kind, name in declared():
        place = found.get((kind, name))
        if not place or not explained(folder, kind, name, *place):
            yield f'{kind} {name} is not in the reference'


def groups():
    """In the order of the header."""
    listed = re.findall(r'<a class="el" href="group__\w+\.html"[^>]*>(.*?)</a>', read(html, 'modules.html'))
    yield from differences('groups', listed, re.findall(r'^/\* ---- (.*?) -+ \*/', header, re.MULTILINE))


def names_of_here():
    """It is the same wherever it is made."""
    for folder, _, names in os.walk(html):
        for path in (os.path.join(folder, name) for name in names):
            with open(path, 'rb') as file:
                content = file.read()
            yield from (f'{path} names {place}' for place in (root, work) if place.encode() in content)


# ---- What it must not let pass ----

PLANTED = {
    'a function without a comment': ('GPT2_API const char *gpt2_version(void);',
                                     'GPT2_API const char *gpt2_version(void);\n\nGPT2_API int32_t gpt2_new(void);'),
    'a field without a comment': ('/* handed to `log` */', ''),
    'a struct without a comment': ('/* How a text is scored. */\n', ''),
    'a name that does not exist': ('/* How a text is scored. */', '/* How gpt2_nothing scores. */'),
}


def notices(before, after):
    if header.count(before) != 1:
        yield f'{before!r} is not in the header'
    told = make(header.replace(before, after))
    if told.returncode == 0 or 'gpt2.h' not in told.stderr:
        yield f'nobody noticed: {told}'


def notices_value():
    """doxygen lets it pass, and the test of the entries finds it."""
    make(re.sub(r'(GPT2_FINISH_CONTEXT = 4,) .*', r'\1', header))
    yield from differences('missing', list(missing(os.path.join(work, 'changed', 'html'))),
                           ['enumvalue GPT2_FINISH_CONTEXT is not in the reference'])


def main():
    tap = Tap()
    if not shutil.which('doxygen'):
        tap.skip('the reference of the header', 'doxygen is not installed')
        tap.finish()
    tap.check('the option `reference` makes it without a warning, and it is installed', install)
    tap.check('every function, struct, type, value and macro of the header is explained', missing, html)
    tap.check('its groups are those of the header, in their order', groups)
    tap.check('it names no folder of the machine that made it', names_of_here)
    for what, (before, after) in PLANTED.items():
        tap.check(f'{what} is an error that names the header', notices, before, after)
    tap.check('a value without a comment is found', notices_value)
    tap.finish()


if __name__ == '__main__':
    main()
