"""Completion in bash: everything that a help names is completed."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "packaging/vprox.bash"


@pytest.fixture(scope="module", name="programs")
def fixture_programs(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    for name in "vprox", "vprox-device":
        os.symlink(build / "vprox", folder / name)
    return folder


@pytest.fixture(name="complete")
def fixture_complete(programs):
    """Returns a function that completes the last of the words as readline would have them."""
    def complete(*words):
        script = ('source "$0"; name=$1; shift; COMP_WORDS=("$name" "$@"); COMP_CWORD=$#;'
                  # The function that bash would call, as the completion says.
                  'COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE};'
                  'read -r _ _ function _ < <(complete -p "$name"); "$function" "$name" "${@: -1}";'
                  '((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "--norc", "-c", script, SCRIPT, *words], text=True, capture_output=True,
            check=True, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
        assert "error" not in done.stderr, done.stderr
        return set(done.stdout.split())
    return complete


def help_of(programs, *words):
    return subprocess.run([programs / words[0], *words[1:], "--help"], check=True, text=True,
                          capture_output=True).stdout


def commands_in(text):
    return set(re.findall(r"^  ([a-z]+) ", text, re.MULTILINE))


def options_in(text):
    """All there are, wherever in the text: more than the completion looks at."""
    return set(re.findall(r"(?<![\w/-])--[a-z][a-z-]*[a-z]", text))


def test_every_command_is_completed(programs, complete):
    commands = commands_in(help_of(programs, "vprox"))
    assert {"server", "connect", "device", "show", "list", "clean"} <= commands <= complete("vprox", "")
    assert complete("vprox", "ser") == {"server"}


def test_every_option_in_the_help_is_completed(programs, complete):
    for command in commands_in(help_of(programs, "vprox")):
        options = options_in(help_of(programs, "vprox", command))
        assert options <= complete("vprox", command, "-"), command
        for option in options:
            assert option in complete("vprox", command, option[:-1])
    assert len(options_in(help_of(programs, "vprox", "server"))) > 20


def test_every_option_that_the_program_takes_is_completed(programs, complete):
    """Going by its tables of options."""
    found = 0
    for command in commands_in(help_of(programs, "vprox")):
        source = (ROOT / f"src/cmd/{command}.c").read_text()
        for option in re.findall(r'{"([a-z-]+)", (?:no|required|optional)_argument', source):
            assert f"--{option}" in complete("vprox", command, "--"), command
            found += 1
    assert found > 20


def test_the_device_is_completed_under_its_own_name(programs, complete):
    assert options_in(help_of(programs, "vprox-device")) <= complete("vprox-device", "-")


@pytest.mark.parametrize("option, values", [
    ("--plane", {"auto", "kernel", "embedded"}),
    ("--on-exit", {"clean", "keep"}),
    ("--log-format", {"text", "json"}),
])
def test_choices_are_completed(complete, option, values):
    assert complete("vprox", "server", option, "") == values
    assert complete("vprox", "server", option, "=", "") == values
    assert complete("vprox", "server", option, "=") == values
    one = min(values)
    assert one in complete("vprox", "server", option, "=", one[:2])
    assert one in complete("vprox", "server", "--ip", "203.0.113.7", option, one[:2])


@pytest.mark.parametrize("command, options", [
    ("connect", {"--interface", "--tunnel", "--plane", "--route", "--pin", "--cacert", "--insecure",
                 "--known-servers", "--once", "--json"}),
    ("show", {"--json", "--metrics", "--watch", "--endpoint", "--peer"}),
    ("clean", {"--dry-run"}),
])
def test_the_options_of_clients_and_operators_are_completed(complete, command, options):
    assert options <= complete("vprox", command, "--")


def test_what_a_client_may_choose_is_completed(complete):
    assert complete("vprox", "connect", "--tunnel", "") == {"wireguard", "ipip"}
    assert complete("vprox", "connect", "--plane", "=", "k") == {"kernel"}


def test_files_are_completed(complete, tmp_path):
    (tmp_path / "key.pem").touch()
    for option in "--tls-key", "--tls-cert":
        assert complete("vprox", "server", option, f"{tmp_path}/k") == {f"{tmp_path}/key.pem"}


def test_an_option_that_takes_any_text_gets_no_proposals(complete):
    assert complete("vprox", "server", "--ip", "") == set()


def test_an_option_without_an_argument_is_followed_by_options(complete):
    assert "--ip" in complete("vprox", "server", "--allow-peer-to-peer", "")


def test_an_unknown_command_gets_no_proposals(complete):
    assert complete("vprox", "nonsense", "-") == set()


def test_bash_completion_finds_it(programs, tmp_path):
    """By the name of the program, as installed."""
    folder = tmp_path / "bash-completion/completions"
    folder.mkdir(parents=True)
    (folder / "vprox").write_text(SCRIPT.read_text())
    loaded = subprocess.run(
        ["bash", "--norc", "-c", "source /usr/share/bash-completion/bash_completion;"
         "_completion_loader vprox; complete -p vprox"], text=True, capture_output=True,
        check=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path),
                         "PATH": f"{programs}:{os.environ['PATH']}"})
    assert "-F _vprox vprox" in loaded.stdout
