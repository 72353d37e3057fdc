"""The completion of each shell, asked as by who presses Tab: each in one process, which answers line after line."""

import contextlib
import os
import pathlib
import pty
import shlex
import subprocess

from lib import wait

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPTS = {shell: ROOT / f"packaging/vprox.{shell}" for shell in ("bash", "zsh", "fish")}
SECONDS = 60  # for whatever is waited for
END = "= end ="

# Bash has no way to ask it: the words as readline makes them, and the function that bash would call.
BASH = r"""
source "$1"
compopt() { :; } # which bash has only while it completes
while read -r line; do
	eval "COMP_WORDS=($line)"
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE} COMPREPLY=()
	read -r _ _ function _ < <(complete -p "${COMP_WORDS[0]##*/}")
	"$function" "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}"
	((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
	echo '= end ='
done
"""

FISH = """
source $argv[1]
while read -l line
    complete -C $line
    echo '= end ='
end
"""

# Zsh completes in its line editor alone. What would be shown is written to a file instead.
ZSH = r"""
fpath=($1 $fpath)
autoload -Uz compinit && compinit -u -D
PS1= PS2=
compadd() {
	local -a proposed
	# With these it only counts, for whoever called it.
	[[ " ${(j: :)@[1,(i)(-|--)]} " == *' -'(O|A|D)* ]] && { builtin compadd "$@"; return }
	builtin compadd -O proposed "$@"
	print -rl -- $proposed >>$answers
	return $((! $#proposed))
}
proposals() { _main_complete; compstate[insert]= compstate[list]= }
zle -C proposals complete-word proposals
answer() { zle proposals; print -r -- '= end =' >>$answers; BUFFER= }
zle -N answer
bindkey '^T' answer
zle-line-init() { print -r -- '= end =' >>$answers; zle -D zle-line-init; }
zle -N zle-line-init
"""


class Pipe:
    """Bash or fish, which are asked through their standard input."""

    def __init__(self, shell, environment):
        start = {"bash": ["bash", "--norc", "-c", BASH, "bash"], "fish": ["fish", "--no-config", "-c", FISH]}[shell]
        self.shell = shell
        self.process = subprocess.Popen([*start, SCRIPTS[shell]], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def ask(self, words):
        line = " ".join(readline_words(words) if self.shell == "bash" else [*map(quote, words)])
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        lines = iter(self.process.stdout.readline, f"{END}\n")
        return [said.rstrip("\n").split("\t")[0] for said in self._until_the_end(lines)]

    def _until_the_end(self, lines):
        for line in lines:
            assert line, f"{self.shell} has ended"
            yield line

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(SECONDS)


class Terminal:
    """Zsh on a terminal of its own."""

    def __init__(self, environment, folder):
        (folder / "_vprox").write_text(SCRIPTS["zsh"].read_text())
        (folder / ".zshrc").write_text(f"set -- {folder}\nanswers={folder}/answers\n{ZSH}")
        self.answers = folder / "answers"
        self.terminal, end = pty.openpty()
        self.process = subprocess.Popen(["zsh", "-i", "-o", "no_global_rcs"], stdin=end, stdout=end, stderr=end,
                                        env={**environment, "ZDOTDIR": str(folder), "TERM": "dumb"},
                                        start_new_session=True)
        os.close(end)
        os.set_blocking(self.terminal, False)
        self._answer()

    def _has_answered(self):
        with contextlib.suppress(BlockingIOError):
            while os.read(self.terminal, 65536):  # else it would wait for its terminal, when that is full
                pass
        return self.answers.exists() and END in self.answers.read_text()

    def _answer(self):
        wait.until(self._has_answered, SECONDS, "zsh answers")
        lines = self.answers.read_text().splitlines()
        self.answers.unlink()
        return [line for line in lines if line and line != END]

    def ask(self, words):
        os.write(self.terminal, (" ".join(map(quote, words)) + "\x14").encode())
        return self._answer()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


def quote(word):
    return shlex.quote(word) if word else ""


def readline_words(words):
    """--plane=k comes as the three words --plane, =, k; and what is empty as nothing, but for the last one."""
    for word in words[:-1]:
        yield quote(word)
    option, equals, value = words[-1].partition("=")
    if words[-1].startswith("--") and equals:
        yield from [option, "'='", shlex.quote(value)] if value else [option, "'='"]
    else:
        yield shlex.quote(words[-1])


def start(shell, environment, folder):
    return Terminal(environment, folder) if shell == "zsh" else Pipe(shell, environment)
