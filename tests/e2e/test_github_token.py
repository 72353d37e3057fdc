"""A client gets its token itself, as a step of GitHub Actions: from whom, when again, who else comes to have what it is
got with, and what becomes of bad answers."""

import re
import shlex
import subprocess
import time
import urllib.parse

import pytest

from lab.api import PASSWORD
from lab.authority import Authority
from lab.issuer import Issuer, ok
from lab.server import pins_of
from lib.jwt import Key

AUDIENCE = "https://vpn.example/?a=b&c"
BEARER = "bearer-of-a-job"
QUERY = "/77//idtoken?api-version=2.0"
PATH = f"{QUERY}&audience=https%3A%2F%2Fvpn.example%2F%3Fa%3Db%26c"
OPTION = f"--oidc-github '{AUDIENCE}'"
URL, TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
NAME = "issuer.example"


class GitHub(Issuer):
    """It also gives tokens, of so many seconds."""

    seconds = 300

    def document(self, path):
        if not path.startswith(QUERY):
            return super().document(path)
        audience, = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)["audience"]
        return {"count": 1, "value": self.token(aud=audience, exp=int(time.time()) + self.seconds)}


@pytest.fixture(name="github")
def fixture_github(node, authority, monkeypatch):
    """Also in the environment of what is started."""
    github = GitHub(node, authority, [Key("rsa-1")])
    monkeypatch.setenv(URL, github.url + QUERY)
    monkeypatch.setenv(TOKEN, BEARER)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.pem"))
    yield github
    github.close()


@pytest.fixture(name="server")
def fixture_server(host, github, authority):
    return host.start(f"--oidc '{github.url},audience={AUDIENCE},require=sub:*' --oidc-ca={authority.folder}/ca.pem "
                      "--no-password", environment={"VPROX_PASSWORD": None})


def connect(host, machine, arguments="", **kwargs):
    return machine.connect(host.address, f"--insecure {OPTION} {arguments}", **kwargs)


def run(machine, words, **environment):
    process = machine.ns.popen([machine.options.vprox, *shlex.split(words)], machine.mounts, text=True,
                               env={**machine.environment(None), **environment}, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()


@pytest.mark.parametrize("seconds, times", [(300, 1), (50, 2)])
def test_a_client_gets_a_token_while_all_is_blocked_and_again_when_it_is_about_to_end(
        host, machine, kind, github, server, seconds, times):
    """It is asked for a tunnel, and for its end."""
    github.seconds = seconds
    client = connect(host, machine, "--route 0.0.0.0/0", kind=kind).up()
    assert "oidc:repo:octo/cat" in host.run("show --json")[1]
    for pid in machine.processes():
        assert BEARER.encode() not in environment_of(pid)
    client.stop()
    assert github.asked.count(PATH) == times, github.asked
    assert set(github.shown) == {None, f"bearer {BEARER}"}
    assert not client.count(BEARER) and not client.count(r"eyJ\w+\.")


def test_exec_leaves_its_command_what_steps_get_their_tokens_with_and_check_says_that_the_token_is_good(
        host, machine, github, server):
    pin = f"--pin={pins_of(server)[0]}"
    code, said = run(machine, f"exec {pin} --dns=198.51.100.53 --plane={host.options.plane} {OPTION} {host.address} -- "
                              "sh -c env", VPROX_PASSWORD=PASSWORD, VPROX_OIDC_TOKEN="other")
    assert code == 0 and f"{TOKEN}={BEARER}\n" in said and f"{URL}={github.url}{QUERY}\n" in said, said
    assert "eyJ" not in said and PASSWORD not in said and "VPROX_OIDC_TOKEN" not in said
    code, said = run(machine, f"check {host.address} {pin} --tunnel=wireguard {OPTION}")
    assert re.search("password.*the server takes it", said), said
    code, said = run(machine, f"check {host.address} {pin} --oidc-github other")
    assert re.search("FAULT.*password.*does not take this token", said), said


@pytest.mark.parametrize("answer, fault", [
    (ok(b" " * 1_000_000), "the answer is too long"),
    (ok(b"\xff\x00{["), "its answer has no token"),
    (ok(b'{"count": 1}'), "its answer has no token"),
    (ok(b'{"value": "a\\r\\nX: b"}'), "its token has characters that none has"),
    (ok(b'{"value": "%s"}' % (b"a" * 5000)), "its token has more than 4096"),
    (b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "answered 302"),
], ids=["long", "garbage", "none", "control", "large", "redirect"])
def test_an_answer_without_a_good_token_is_said_and_asked_for_again(host, machine, github, server, answer, fault):
    github.answers[PATH] = answer
    client = connect(host, machine)
    client.logged(f"no token: {github.host}: {fault}")
    del github.answers[PATH]
    client.up().stop()


def test_only_a_server_with_a_certificate_for_its_name_is_shown_the_jobs_secret(
        host, machine, node, github, authority, tmp_path, monkeypatch):
    """Whose name is looked up: here in /etc/hosts."""
    strange = GitHub(node, Authority(tmp_path), [Key("rsa-1")])
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{node.address} {NAME}\n")
    machine.mounts.append((hosts, "/etc/hosts"))
    for url, fault in ((strange.url, "certificate"), (f"https://{NAME}:{github.port}", "mismatch")):
        monkeypatch.setenv(URL, url + QUERY)
        client = connect(host, machine)
        client.logged(f"no token: .*{fault}")
        client.stop()
    strange.close()
    assert strange.shown == [] and github.shown == []


def test_a_name_is_looked_up(host, machine, node, authority, github, server, tmp_path, monkeypatch):
    authority.issue("named", node.address, host=NAME)
    github.context.load_cert_chain(authority.folder / "named.pem", authority.folder / "named.key")
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{node.address} {NAME}\n")
    machine.mounts.append((hosts, "/etc/hosts"))
    monkeypatch.setenv(URL, f"https://{NAME}:{github.port}{QUERY}")
    connect(host, machine, "--route 0.0.0.0/0").up().stop()


@pytest.mark.parametrize("environment, fault", [
    ({}, f"{URL} is not set.*permissions: id-token: write"),
    ({URL: "https://a.example/?b"}, f"{TOKEN} is not set.*permissions: id-token: write"),
    ({URL: "http://a.example/?b", TOKEN: "x"}, "is no https:// URL"),
    ({URL: "https://a.example/?b", TOKEN: "x\ny"}, "characters that no token has"),
], ids=["url", "token", "http", "control"])
def test_without_what_github_sets_nothing_is_begun(machine, environment, fault):
    code, said = run(machine, f"connect 203.0.113.7 {OPTION}", **environment)
    assert code == 2 and re.search(fault, said), said
    code, said = run(machine, f"connect 203.0.113.7 {OPTION} --token-file=/x", **environment)
    assert code == 2 and "--oidc-github" in said and "does not go together" in said
