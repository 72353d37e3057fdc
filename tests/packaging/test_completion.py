"""Completion in bash: every option of every command's table is proposed, and nothing else."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCRIPT = ROOT / "packaging/vprox.bash"
COMMANDS = ["server", "connect", "exec", "status", "disconnect", "device", "show", "list", "check", "clean", "fleet", "fleet-key"]


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
                  'read -r _ _ function _ < <(complete -p "${name##*/}");'
                  '"$function" "$name" "${@: -1}";'
                  '((${#COMPREPLY[@]} == 0)) || printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "--norc", "-c", script, SCRIPT, *words], text=True, capture_output=True,
            check=True, env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
        assert "error" not in done.stderr, done.stderr
        return set(done.stdout.split())
    return complete


def table(programs, command):
    """The command's options, as the program's own table has them: what each one's value is called."""
    said = subprocess.run([programs / "vprox", "completion", command], check=True, text=True,
                          capture_output=True).stdout
    options = dict(line.split("\t") for line in said.splitlines() if line.startswith("-"))
    assert options
    return options


def test_every_command_is_completed(complete):
    assert complete("vprox", "") == {*COMMANDS, "--help", "--version"}
    assert complete("vprox", "ser") == {"server"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_completed_and_nothing_else(programs, complete, command):
    options = table(programs, command)
    assert complete("vprox", command, "-") == set(options)
    assert {"-h", "--help", "--version"} <= set(options)
    for option in options:
        assert option in complete("vprox", command, option)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_choice_of_every_option_is_completed(programs, complete, command):
    for option, value in table(programs, command).items():
        if "|" in value:
            assert complete("vprox", command, option, "") == set(value.split("|"))


def test_the_device_is_completed_under_its_own_name(programs, complete):
    assert complete("vprox-device", "-") == set(table(programs, "device"))
    assert complete(str(programs / "vprox-device"), "--work") == {"--workers"}


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


def test_what_a_command_can_do_is_completed(complete):
    assert complete("vprox", "fleet", "r") == {"renumber"}
    assert "renumber" in complete("vprox", "fleet", "--dry-run", "")


def test_files_are_completed(complete, tmp_path):
    (tmp_path / "key.pem").touch()
    for option in "--tls-key", "--tls-cert":
        assert complete("vprox", "server", option, f"{tmp_path}/k") == {f"{tmp_path}/key.pem"}


def test_users_are_completed(complete):
    assert complete("vprox", "server", "--user", "roo") == {"root"}


def test_an_option_that_takes_any_text_gets_no_proposals(complete):
    assert complete("vprox", "server", "--ip", "") == set()
    assert complete("vprox", "show", "--watch", "=", "") == set()


def test_an_option_without_an_argument_is_followed_by_options(complete):
    assert "--ip" in complete("vprox", "server", "--allow-peer-to-peer", "")


def test_a_value_that_may_be_left_out_is_followed_by_options(complete):
    assert "--json" in complete("vprox", "show", "--watch", "")


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
