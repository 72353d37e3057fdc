"""The shell commands of README.md."""

import dataclasses
import re

from lab import ROOT


@dataclasses.dataclass
class Command:
    text: str
    expected: str = ""  # what the page says that it prints; "..." stands for anything


@dataclasses.dataclass
class Block:
    heading: str
    commands: list

    @property
    def text(self):
        return "\n".join(command.text for command in self.commands)


def read(page=None):
    """All blocks that are marked as shell, in order."""
    heading, commands, open_fence = "", None, None
    page = (ROOT / "README.md").read_text() if page is None else page
    blocks = []
    for line in page.splitlines():
        if line.startswith("```"):
            if open_fence == "sh":
                blocks.append(Block(heading, commands))
            open_fence = None if open_fence is not None else line[3:]
            commands = []
        elif open_fence == "sh":
            add_line(commands, line)
        elif open_fence is None and line.startswith("#"):
            heading = line.lstrip("# ")
    return blocks


def add_line(commands, line):
    if line.startswith("# "):
        commands[-1].expected += line[2:]
    elif commands and commands[-1].text.endswith("\\"):
        commands[-1].text = commands[-1].text[:-1].rstrip() + " " + without_comment(line).strip()
    elif line.strip():
        commands.append(Command(without_comment(line)))


def without_comment(line):
    return re.sub(r"\s+# .*$", "", line)
