#!/usr/bin/env python3
"""report.py - counts single tests, where meson counts programs.

    report.py LOG...

Each LOG is a testlog.json that `meson test` wrote. Prints what failed with what it said, what was skipped, and one
last line `N passed, N failed`. The exit status is 0 if tests ran and none failed.

A program announces its tests in TAP (`1..N`). One that dies, or tells fewer than it announced, has failed those; one
whose tests all passed but which ends badly (a leak that was found at the end) has failed once more.
"""
import json
import re
import sys

RESULT = re.compile(r'(not )?ok\b *(\d+)? *-? *(.*)')
PLAN = re.compile(r'1\.\.(\d+)')
SKIP = re.compile(r'# *skip\b *', re.IGNORECASE)


class Program:
    """What one run of a test program told."""

    def __init__(self, build, log):
        self.title = f"{build}: {log['name']}"
        self.passed, self.skipped, self.failed = 0, [], []
        self.stderr = log.get('stderr', '').strip()
        announced = 0
        for line in log.get('stdout', '').splitlines():
            if plan := PLAN.fullmatch(line):
                announced += int(plan[1])
            elif result := RESULT.match(line):
                self.take(result)
            elif self.failed and line.startswith('#'):
                self.failed[-1] += '\n      ' + line
        self.judge_end(announced, log)

    def take(self, result):
        name = result[3]
        if SKIP.search(name):
            self.skipped.append(SKIP.sub('', name))
        elif result[1]:
            self.failed.append(name)
        else:
            self.passed += 1

    def judge_end(self, announced, log):
        end = f"(the program: {log['result']}, exit status {log.get('returncode')})"
        told = self.passed + len(self.skipped) + len(self.failed)
        if told < announced:
            self.failed += [f'not told {end}'] * (announced - told)
        elif announced == 0:
            self.failed.append(f'no tests were announced {end}')
        elif log['result'] != 'OK' and not self.failed:
            self.failed.append(end)

    def show(self):
        for name in self.skipped:
            print(f'skipped  {self.title}: {name}')
        for name in self.failed:
            print(f'FAILED   {self.title}: {name}')
        if self.failed and self.stderr:
            print('      ' + self.stderr.replace('\n', '\n      '))


def programs_of(path):
    build = path.split('/')[-3]
    try:
        with open(path, encoding='utf-8') as log:
            return [Program(build, json.loads(line)) for line in log]
    except FileNotFoundError:
        return [Program(build, {'name': 'meson test', 'result': f'it wrote no {path}'})]


def main(paths):
    programs = [program for path in paths for program in programs_of(path)]
    for program in programs:
        program.show()
    passed = sum(program.passed for program in programs)
    failed = sum(len(program.failed) for program in programs)
    skipped = sum(len(program.skipped) for program in programs)
    if skipped:
        print(f'{skipped} skipped')
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
