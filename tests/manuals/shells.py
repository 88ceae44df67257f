"""shells.py - bash and zsh in a terminal, asked what they would complete.

A line is typed, and then the key that inserts all completions. The command that stands there is a function which tells
the arguments that it got."""
import os
import pty
import select
import subprocess
import time

KEY = '\x18a'  # Ctrl-X, a
SECONDS = 60  # that a shell may take for an answer


class Shell:
    def __init__(self, command, setup, folder, programs, environment):
        """A shell that has read the lines of `setup`, and works in the folder."""
        outer, inner = pty.openpty()
        self.terminal = outer
        known = {'PATH': os.environ['PATH'], 'HOME': folder, 'ZDOTDIR': folder, 'INPUTRC': '/dev/null',
                 'LC_ALL': 'C.UTF-8', 'TERM': 'dumb', 'HISTFILE': '', 'COLUMNS': '4000', 'LINES': '100'}
        self.process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, cwd=folder,
                                        env={**known, **environment}, start_new_session=True)
        os.close(inner)
        self.said = ''
        for program in programs:
            self.type(f"{program}() {{ printf '\\001%s' \"$@\"; printf '\\002\\n'; }}\r")
        for line in setup:
            self.type(line + '\r')
        self.type("printf '\\003\\n'\r")
        self.read_until('\x03')

    def type(self, text):
        data = text.encode()
        while data:
            data = data[os.write(self.terminal, data):]

    def read_until(self, mark):
        end = time.monotonic() + SECONDS
        while mark not in self.said:
            ready = select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]
            if not ready:
                raise TimeoutError(f'the shell said no more than {self.said[-2000:]!r}')
            self.said += os.read(self.terminal, 65536).decode(errors='replace')
        before, _, self.said = self.said.partition(mark)
        return before

    def offered(self, line):
        """The completions of the last word of the line, which is none of them. Its words have no spaces in them."""
        self.type(line + KEY + '\r')
        arguments = self.read_until('\x02').partition('\x01')[2].split('\x01')
        *before, word = line.split(' ')[1:]
        return [argument for argument in arguments[len(before):] if argument != word]

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def bash(script, folder, programs, **environment):
    return Shell(['bash', '--norc', '--noprofile', '-i'],
                 ["PS1='> '", r"""bind '"\C-xa": insert-completions'""", f"source '{script}'"],
                 folder, programs, environment)


def zsh(script, folder, programs, **environment):
    """The script is found by its name, in its folder."""
    return Shell(['zsh', '-f', '-i'],
                 ["PROMPT='> '", f"fpath=('{os.path.dirname(script)}' $fpath)", 'autoload -Uz compinit', 'compinit -u -D',
                  'zle -C all-matches complete-word _generic', "bindkey '^Xa' all-matches",
                  "zstyle ':completion:all-matches::::' completer _all_matches _complete",
                  "zstyle ':completion:all-matches:*' insert true"],
                 folder, programs, environment)
