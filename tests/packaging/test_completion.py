"""Completion in bash, zsh and fish: every option of every command's table is proposed, and nothing else."""

import os
import pathlib
import subprocess

import pytest

import shells

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module", name="programs")
def fixture_programs(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bin")
    for name in "vprox", "vprox-device":
        os.symlink(build / "vprox", folder / name)
    return folder


@pytest.fixture(scope="module", name="environment")
def fixture_environment(programs, tmp_path_factory):
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path_factory.mktemp("home"))}


@pytest.fixture(scope="module", name="complete", params=shells.SCRIPTS)
def fixture_complete(request, environment, tmp_path_factory):
    """Returns a function that completes the last of the words: what may be in place of it, or of what is
    behind its "="."""
    shell = shells.start(request.param, environment, tmp_path_factory.mktemp(request.param))

    def complete(*words):
        assigned = words[-1].partition("=")[0] + "="
        return {proposed.removeprefix(assigned) for proposed in shell.ask(words)}
    yield complete
    shell.close()


@pytest.fixture(scope="module", name="commands")
def fixture_commands(programs):
    return subprocess.run([programs / "vprox", "completion"], check=True, text=True,
                          capture_output=True).stdout.split()


def table(programs, command):
    """The command's options, as the program's own table has them: what each one's value is called."""
    said = subprocess.run([programs / "vprox", "completion", command], check=True, text=True,
                          capture_output=True).stdout
    options = dict(line.split("\t") for line in said.splitlines() if line.startswith("-"))
    assert options
    return options


def test_every_command_is_completed(complete, commands):
    assert len(commands) > 10
    assert complete("vprox", "") == {*commands, "--help", "--version"}
    assert complete("vprox", "ser") == {"server"}


def test_every_option_of_every_command_is_completed_and_nothing_else(programs, complete, commands):
    for command in commands:
        options = table(programs, command)
        assert complete("vprox", command, "-") == set(options)
        assert {"-h", "--help", "--version"} <= set(options)
        for option in options:
            assert option in complete("vprox", command, option)


def test_every_choice_of_every_option_is_completed(programs, complete, commands):
    for command in commands:
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
    assert complete("vprox", "server", f"{option}=") == values
    one = min(values)
    assert one in complete("vprox", "server", f"{option}={one[:2]}")
    assert one in complete("vprox", "server", "--ip", "203.0.113.7", option, one[:2])


def test_what_a_command_can_do_is_completed(complete):
    assert complete("vprox", "fleet", "r") == {"renumber"}
    assert "renumber" in complete("vprox", "fleet", "--dry-run", "")


def test_files_are_completed(complete, tmp_path):
    (tmp_path / "key.pem").touch()
    for option in "--tls-key", "--tls-cert":
        for words in [option, f"{tmp_path}/k"], [f"{option}={tmp_path}/k"]:
            proposed = complete("vprox", "server", *words)
            # Zsh tells the name alone: it completes each folder of a path by itself.
            assert proposed in ({f"{tmp_path}/key.pem"}, {"key.pem"})


def test_users_are_completed(complete):
    assert complete("vprox", "server", "--user", "roo") == {"root"}


def test_an_option_that_takes_any_text_gets_no_proposals(complete):
    assert complete("vprox", "server", "--ip", "") == set()
    assert complete("vprox", "show", "--watch=") == set()


def test_an_option_without_an_argument_is_followed_by_options(complete):
    assert "--ip" in complete("vprox", "server", "--allow-peer-to-peer", "-")


def test_a_value_that_may_be_left_out_is_followed_by_options(complete):
    assert "--json" in complete("vprox", "show", "--watch", "-")


def test_an_unknown_command_gets_no_proposals(complete):
    assert complete("vprox", "nonsense", "-") == set()


def test_bash_completion_finds_it(environment, tmp_path):
    """By the name of the program, as installed."""
    folder = tmp_path / "bash-completion/completions"
    folder.mkdir(parents=True)
    (folder / "vprox").write_text(shells.SCRIPTS["bash"].read_text())
    loaded = subprocess.run(
        ["bash", "--norc", "-c", "source /usr/share/bash-completion/bash_completion;"
         "_completion_loader vprox; complete -p vprox"], text=True, capture_output=True,
        check=True, env={**environment, "XDG_DATA_HOME": str(tmp_path)})
    assert "-F _vprox vprox" in loaded.stdout
