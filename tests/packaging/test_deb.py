"""The Debian package: installed, upgraded, removed and purged, on a machine of its own. The tests go on
where the one before has stopped."""

import re
import subprocess

import pytest

OURS = re.compile(r"vprox", re.IGNORECASE)
USERS = ["vprox", "vprox-signer", "vprox-holder", "vprox-cloud", "vprox-oidc", "vprox-metrics", "vprox-flows",
         "vprox-store", "vprox-device"]
# Where Debian keeps what it did, and what is no file of the package.
LOGS = ("/var/log/", "/var/lib/dpkg/", "/var/cache/", "/tmp/", "/run/", "/root/")


def ours(machine):
    """The files of vprox that the machine has and this one has not."""
    return [path for path in machine.changed() if OURS.search(path) and not path.startswith(LOGS)]


@pytest.fixture(scope="module", name="installed")
def fixture_installed(machine, package):
    machine.deb = f"/tmp/{package.name}"
    for user in USERS:
        machine.run(f"userdel {user}", check=False)  # this machine may have one
    with open(package, "rb") as stream:
        subprocess.run(["nsenter", "--target", machine.init, "--all", "tee", machine.deb],
                       stdin=stream, stdout=subprocess.DEVNULL, check=True)
    machine.before = set(ours(machine))
    machine.run(f"dpkg -i {machine.deb}")
    return machine


def test_lintian_has_nothing_to_say(package):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on=error,warning", package], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout


def test_the_program_runs_and_is_documented(installed):
    assert installed.output("vprox --version").startswith("vprox ")
    assert installed.output("vprox-device --version").startswith("vprox ")
    for page in ("vprox", "vprox-check", "vprox-clean", "vprox-connect", "vprox-device",
                 "vprox-disconnect", "vprox-disconnect-peer", "vprox-exec", "vprox-status", "vprox-fleet", "vprox-fleet-key",
                 "vprox-token", "vprox-list", "vprox-server",
                 "vprox-show"):
        assert installed.ok(f"test -s /usr/share/man/man8/{page}.8.gz"), page
    assert "_vprox" in installed.output(
        "source /usr/share/bash-completion/bash_completion; _completion_loader vprox;"
        "complete -p vprox")


def test_zsh_and_fish_complete_it_too(installed):
    assert installed.output("zsh -fc 'autoload -Uz compinit; compinit -u -D; print $_comps[vprox] "
                            "$_comps[vprox-device]'") == "_vprox _vprox"
    assert installed.output("fish -c 'complete -C \"vprox ser\"'") == "server"
    assert installed.output("fish -c 'complete -C \"vprox-device --work\"'") == "--workers"


def test_it_has_all_libraries(installed):
    for program in "/usr/sbin/vprox", "/usr/libexec/vprox/vprox-store":
        assert "not found" not in installed.output(f"ldd {program}")


def test_there_are_users_that_can_do_nothing(installed):
    for user in USERS:
        _, _, uid, gid, _, home, shell = installed.output(f"getent passwd {user}").split(":")
        assert int(uid) > 0 and int(gid) > 0
        assert (home, shell) == ("/nonexistent", "/usr/sbin/nologin")


def test_nothing_is_started_or_enabled(installed):
    for unit in "vprox-server", "vprox-client@vprox0", "vprox-device@vprox0", "vprox-block@vprox0":
        assert installed.show(unit, "LoadState") == "loaded"
        assert installed.show(unit, "ActiveState") == "inactive"
        assert installed.show(unit, "UnitFileState") in ("disabled", "static")
    assert not installed.ok("pgrep -x vprox")


def test_nothing_starts_without_settings(installed):
    for unit in "vprox-server", "vprox-client@vprox0", "vprox-block@vprox0":
        assert not installed.ok(f"systemctl start {unit}")
        assert installed.show(unit, "ActiveState") == "inactive"
        assert installed.show(unit, "NRestarts") == "0"


def test_systemd_finds_no_fault_with_the_units(installed):
    shown = installed.run("systemd-analyze verify vprox-server.service vprox-client@vprox0.service "
                          "vprox-device@vprox0.service vprox-block@vprox0.service", check=False).stdout
    assert "vprox" not in shown, shown


def test_nobody_but_root_reads_settings(installed):
    assert installed.output("stat -c '%U %a' /etc/vprox") == "root 700"


def test_a_server_with_the_settings_of_the_example_refuses_to_start_and_does_not_try_again(installed):
    installed.run("install -D -m 600 /usr/share/doc/vprox/examples/server.conf "
                  "/etc/vprox/server.conf")
    assert not installed.ok("systemctl start vprox-server")
    assert installed.show("vprox-server", "ActiveState") == "failed"
    assert installed.show("vprox-server", "NRestarts") == "0"
    assert "VPROX_PASSWORD is not set" in installed.journal("vprox-server")


def test_an_upgrade_starts_nothing_and_keeps_settings(installed):
    installed.run("systemctl reset-failed vprox-server")
    installed.run(f"echo '# kept' >>/etc/vprox/server.conf; dpkg -i {installed.deb}")
    assert "# kept" in installed.output("cat /etc/vprox/server.conf")
    assert installed.output("stat -c %a /etc/vprox/server.conf") == "600"
    assert installed.show("vprox-server", "ActiveState") == "inactive"


def test_removing_it_leaves_settings_alone(installed):
    installed.run("dpkg -r vprox")
    assert not installed.ok("command -v vprox")
    left = set(ours(installed)) - installed.before
    assert "/etc/vprox/server.conf" in left
    assert not [path for path in left if not path.startswith(("/etc/vprox", "/etc/logrotate.d/vprox", "/var/lib/"))]


def test_purging_it_leaves_nothing(installed):
    installed.run("dpkg -P vprox")
    assert set(ours(installed)) - installed.before == set()
    assert not installed.ok("getent passwd vprox || getent passwd vprox-signer || "
                            "getent passwd vprox-device")
    assert not installed.ok("dpkg-query -W vprox")
