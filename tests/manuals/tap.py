"""tap.py - what these tests share: each check is one test, told in TAP."""
import sys
import traceback


class Tap:
    def __init__(self):
        self.n_checks = 0
        self.n_failed = 0

    def check(self, name, judge, *arguments):
        """The test passes if judge(...) gives nothing; what it gives, lines or an exception, is what is wrong."""
        try:
            wrong = list(judge(*arguments) or [])
        except Exception:
            wrong = traceback.format_exc().splitlines()
        self.n_checks += 1
        self.n_failed += bool(wrong)
        print(f"{'not ' if wrong else ''}ok {self.n_checks} - {name}")
        for line in '\n'.join(map(str, wrong)).splitlines()[:40]:
            print('#', line)

    def skip(self, name, reason):
        self.n_checks += 1
        print(f'ok {self.n_checks} - {name} # SKIP {reason}')

    def finish(self):
        """The last line of every test."""
        print(f'1..{self.n_checks}')
        sys.exit(bool(self.n_failed))


def differences(what, found, expected):
    """One line if two things that should be equal are not: of collections, what only one of them has."""
    if found == expected:
        return
    if isinstance(expected, (list, set)):
        only_found = [item for item in found if item not in expected]
        only_expected = [item for item in expected if item not in found]
        if only_found or only_expected:
            found, expected = only_found, only_expected
    yield f'{what}: found {found!r}, expected {expected!r}'
