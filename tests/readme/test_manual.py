"""The program's tables of options, its help and its manual pages name the same commands and options,
with the same values and defaults."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VPROX = pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve() / "vprox"
COMMANDS = {"server", "connect", "exec", "status", "disconnect", "device", "show", "disconnect-peer", "list", "check", "clean",
            "fleet", "fleet-key", "token"}
COLUMNS = 80


def run(*arguments):
    return subprocess.run([VPROX, *arguments], text=True, check=False, capture_output=True)


def table(command):
    """Option to what its value is called, as the program's own table has them."""
    done = run("completion", command)
    assert done.returncode == 0 and done.stdout
    return dict(line.split("\t") for line in done.stdout.splitlines() if line.startswith("-"))


def help_entries(text):
    """Option to (what its value is called, all that is said of it). Those of one line share both."""
    entries = {}
    for entry in re.findall(r"^ {2,6}(-.+(?:\n {10,}.*)*)", text, re.MULTILINE):
        names, said = re.match(r"((?:-\w, )?--[a-z0-9-]+(?:\[=\w+\]| \S+)?)(?:  +|\s*\n\s*)(.*)", entry,
                               re.DOTALL).groups()
        value = re.search(r"--[a-z0-9-]+(?:(\[)=| )?(.*?)\]?$", names)
        for name in re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", names):
            entries[name] = (f"[{value[2]}]" if value[1] else value[2], " ".join(said.split()))
    return entries


def page_entries(page):
    """The same of a manual page: what is said is from its .It to the next."""
    entries = {}
    for heading, said in re.findall(r"^\.It (Fl .*)\n((?:(?!\.(?:It|El)\b).*\n)*)", page, re.MULTILINE):
        heading = heading.replace(" Ns Op = Ns Ar", " =")
        names = re.findall(r"(?:Fl|,) (-?[a-z][a-z0-9-]*)", heading)
        value = re.sub(r"^.*?Fl (?:\w , )?-[a-z0-9-]+|(?:Cm|Ar) | Ns |\s", "", heading)
        for name in names:
            entries["-" + name] = (f"[{value[1:]}]" if value.startswith("=") else value, said)
    return entries


def page_of(command):
    return (ROOT / f"man/vprox-{command}.8").read_text()


def test_the_help_names_every_command():
    assert set(re.findall(r"^  ([a-z-]+) ", run("--help").stdout, re.MULTILINE)) == COMMANDS
    assert set(run("completion").stdout.split()) == COMMANDS


def test_the_manual_page_names_every_command():
    page = (ROOT / "man/vprox.8").read_text()
    assert set(re.findall(r"^\.It Cm ([\w-]+)", page, re.MULTILINE)) == COMMANDS | {"help"}
    for command in COMMANDS:
        assert f".Xr vprox-{command} 8 ." in page
        assert (ROOT / f"man/vprox-{command}.8").exists()


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["help"], *(
    [*form] for command in sorted(COMMANDS)
    for form in ([command, "-h"], [command, "--help"], ["help", command]))], ids=" ".join)
def test_help_goes_to_standard_output_in_lines_that_a_terminal_holds(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    command = " ".join(word for word in arguments if word in COMMANDS) or "COMMAND"
    assert re.match(rf"Usage: (VPROX_PASSWORD=\.\.\. )?vprox {command} ", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_help_has_every_option_of_the_table_and_no_other(command):
    entries = help_entries(run(command, "--help").stdout)
    assert {name: value for name, (value, _) in entries.items()} == table(command)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_manual_page_has_every_option_of_the_table_and_no_other(command):
    entries = page_entries(page_of(command))
    assert {name: value for name, (value, _) in entries.items()} == \
        {name: value.lower() for name, value in table(command).items()}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_manual_page_tells_the_defaults_that_the_program_has(command):
    page = page_entries(page_of(command))
    for name, (_, said) in help_entries(run(command, "--help").stdout).items():
        default = re.search(r"\(default: (\S+)\)", said)
        if default:
            assert re.search(rf"default[\s:,]*\n?(?:\.(?:Cm|Pa) )?{re.escape(default[1])}\b",
                             page[name][1]), name


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_of_the_table_is_taken(command):
    """With --help behind it, or with a value that none has, whose refusal names the option."""
    for name, value in table(command).items():
        if value:
            done = run(command, name + ("=" if name.startswith("--") else ""), "--help")
            assert "no such option" not in done.stderr, name
        else:
            done = run(command, name, "--help")
            assert done.returncode == 0, name
