"""Tokens of issuers: who is let in with one, what becomes of an issuer that rotates its keys, is away, or is hostile."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import time

import pytest

from lab.api import PASSWORD
from lab.authority import Authority
from lab.issuer import AUDIENCE, DISCOVERY, KEYS, Issuer, ok
from lab.tunnels import random_key
from lib import wait
from lib.jwt import Key, encoded
from lib.process import status

RSA, EC = Key("rsa-1"), Key("ec-1", "ES256")
UNAUTHORIZED = "unauthorized\n"
GITHUB = {"repository": "octo/cat", "ref": "refs/heads/main", "runner_environment": "github-hosted"}
KUBERNETES = {"sub": "system:serviceaccount:build:robot", "aud": ["https://kubernetes.default.svc", AUDIENCE],
              "kubernetes.io": {"namespace": "build", "serviceaccount": {"name": "robot", "uid": "1"}}}


@pytest.fixture(name="issuers")
def fixture_issuers(node, authority):
    """Returns a function that makes one, for one test."""
    made = []

    def make(*keys, **kwargs):
        made.append(Issuer(node, authority, keys or [RSA, EC], **kwargs))
        return made[-1]
    yield make
    for issuer in made:
        issuer.close()


@pytest.fixture(name="issuer")
def fixture_issuer(issuers):
    return issuers()


@pytest.fixture(name="ca")
def fixture_ca(authority):
    return authority.folder / "ca.pem"


def option(issuer, rules="require=sub:*"):
    return f"--oidc '{issuer.url},audience={AUDIENCE},{rules}'"


def start(host, issuer, ca, arguments="", rules="require=sub:*", **kwargs):
    return host.start(f"{option(issuer, rules)} --oidc-ca={ca} {arguments}", **kwargs)


def start_modal(host, issuer, ca, **environment):
    return host.start(environment={
        "VPROX_AUTH_MODE": "OIDC-Modal", "VPROX_OIDC_ISSUER": issuer.url + "/", "SSL_CERT_FILE": str(ca), **environment})


def ask(host, client, bearer):
    return host.api(client).get("/version", password=bearer).status


def names(host):
    return {peer.get("name") for peer in host.shown_peers()}


def assert_unauthorized(answer):
    assert (answer.status, answer.text) == (401, UNAUTHORIZED)


def test_a_token_gets_a_tunnel_and_names_it(host, client, issuer, ca):
    start(host, issuer, ca)
    for key, claims, name in ((RSA, GITHUB, "oidc:repo:octo/cat:ref:refs/heads/main"),
                              (EC, KUBERNETES, "oidc:system:serviceaccount:build:robot")):
        answer = host.api(client).connect(random_key(), password=issuer.token(key, **claims))
        assert answer.status == 200, answer
        assert name in names(host)


def test_a_token_is_refused_as_a_wrong_password_is(host, client, issuer, ca):
    start(host, issuer, ca, rules="require=repository:octo/*,require=ref:refs/heads/main,name=repository")
    good = issuer.token(**GITHUB)
    assert ask(host, client, good) == 200 and ask(host, client, PASSWORD) == 200
    now = int(time.time())
    header = encoded(b'{"alg":"none","kid":"rsa-1"}')
    bad = [issuer.token(Key("rsa-1"), **GITHUB), issuer.token(), issuer.token(**GITHUB, exp=now - 1),
           issuer.token(**GITHUB, exp=None), issuer.token(**GITHUB, nbf=now + 600), issuer.token(**GITHUB, iat=now + 600),
           issuer.token(**GITHUB, iss="https://evil.example"), issuer.token(**GITHUB, aud="other"),
           issuer.token(**GITHUB, aud=["other"]), issuer.token(**{**GITHUB, "repository": "octopus/cat"}),
           f"{header}.{good.split('.')[1]}.", f"{header}.{good.split('.')[1]}.AAAA", good[:-8], good + "."]
    connections = [host.api(client).connect(random_key(), password=bearer) for bearer in bad[:2]]
    for answer in connections:
        assert_unauthorized(answer)
    assert {ask(host, client, bearer) for bearer in bad} == {401}
    assert ask(host, client, "x." * 32768) == 431, "a head of more than 8 KiB is none"
    assert ask(host, client, good) == 200


def test_oidc_modal_is_as_in_the_older_programs(host, client, issuer, ca):
    start_modal(host, issuer, ca, VPROX_OIDC_ALLOWED_WORKSPACE_IDS="ac-1, ac-2", VPROX_PASSWORD=None)
    assert ask(host, client, issuer.token(workspace_id="ac-2", aud=None)) == 200
    assert ask(host, client, issuer.token(workspace_id="ac-1", sub=None, iat=int(time.time()) + 30)) == 200
    answer = host.api(client).connect(random_key(), password=issuer.token(workspace_id="ac-3"))
    assert_unauthorized(answer)
    assert ask(host, client, issuer.token()) == 401
    assert ask(host, client, PASSWORD) == 401


def test_what_the_file_of_options_says_of_oidc_modal_goes_before_the_environment(host, client, issuer, ca):
    config = host.state / "config"
    config.write_text(f"VPROX_AUTH_MODE=oidc-modal\nVPROX_OIDC_ISSUER={issuer.url}\n"
                      f"VPROX_OIDC_ALLOWED_WORKSPACE_IDS=ac-1\noidc-ca={ca}\nVPROX_PASSWORD={PASSWORD}\n")
    config.chmod(0o600)
    server = host.start(f"--config={config}", environment={"VPROX_OIDC_ISSUER": "https://other.example"})
    assert ask(host, client, issuer.token(workspace_id="ac-1")) == 200
    assert ask(host, client, issuer.token(workspace_id="ac-2")) == 401
    server.send_signal(signal.SIGHUP)
    assert server.logged("configuration read again", 60)
    assert ask(host, client, PASSWORD) == 401, "nor is it one after a reload"
    assert ask(host, client, issuer.token(workspace_id="ac-1")) == 200


@pytest.mark.parametrize("allowed, warned", [("*", True), ("", False)])
def test_oidc_modal_lets_any_workspace_in_where_it_is_told_so(host, client, issuer, ca, allowed, warned):
    server = start_modal(host, issuer, ca, VPROX_OIDC_ALLOWED_WORKSPACE_IDS=allowed, VPROX_OIDC_AUDIENCE=AUDIENCE)
    assert ask(host, client, issuer.token(workspace_id="ac-9")) == 200
    assert ask(host, client, issuer.token(workspace_id="ac-9", aud="other")) == 401
    assert ask(host, client, PASSWORD) == 401, "it is no password's turn"
    assert bool(server.logged("VPROX_OIDC_ALLOWED_WORKSPACE_IDS is \\*")) == warned
    if warned:
        server.expect("VPROX_OIDC_ALLOWED_WORKSPACE_IDS")


def test_a_key_that_is_new_is_fetched_but_not_for_everybody_who_makes_one_up(host, client, issuer, ca):
    began = time.monotonic()
    start(host, issuer, ca)
    assert ask(host, client, issuer.token(Key("made-up", "ES256"))) == 401
    new = Key("rsa-2")
    issuer.keys = [new]
    # It is asked again 10 s after the last time; a request that comes before is refused.
    wait.until(lambda: ask(host, client, issuer.token(new)) == 200, 60)
    assert ask(host, client, issuer.token(RSA)) == 401, "it is withdrawn"
    for i in range(5):
        assert ask(host, client, issuer.token(Key(f"made-up-{i}", "ES256"))) == 401
    assert issuer.asked.count(KEYS) <= 1 + (time.monotonic() - began) / 10, issuer.asked


def test_while_its_issuer_is_away_a_token_is_good(host, client, issuer, ca):
    server = start(host, issuer, ca)
    issuer.close()
    fetcher, = server.children_called("oidc")
    server.expect("killed by signal 9")
    os.kill(fetcher, signal.SIGKILL)
    assert server.logged("issuer .*: cannot fetch its keys, will try again: .*; those of before are good for a day", 60)
    assert ask(host, client, issuer.token()) == 200
    issuer.open()
    assert server.logged(r"(?s)will try again.*issuer .*: has 2 keys", 60)


def endless():
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    yield from itertools.repeat(b" " * 65536, 10000)


def slow():
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"
    for _ in range(600):
        yield b" "
        time.sleep(0.1)


def test_a_start_without_keys_fails_whatever_their_issuer_does(host, issuers, node, authority, ca):
    """All of them at a time, since a start waits for a while."""
    weak = Key("weak", bits=1024)
    tiny = {**weak.published(), "n": encoded(b"\xff" * 64)}  # 512 bits
    hostile = {
        "the answer is too long": (KEYS, ok(b'{"keys": [%s' % (b" " * 10_000_000))),
        "answer is too long": (DISCOVERY, endless),
        "there was no answer in time": (KEYS, slow),
        "is no set of keys": (KEYS, ok(b"\xff\x00{[")),
        "none of its keys is for signatures": (KEYS, ok(json.dumps({"keys": [tiny, weak.published()]}).encode())),
        "answered 302": (KEYS, b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"),
        "names another issuer": (DISCOVERY, ok(b'{"issuer": "https://other.example", "jwks_uri": "https://x/"}')),
        "is no https:// URL": (DISCOVERY, ok(b'{"jwks_uri": "http://127.0.0.1/keys"}')),
    }
    made = []
    for path, answer in hostile.values():
        made.append(issuers())
        made[-1].answers[path] = answer
    server = host.launch(" ".join(option(each, f"require=sub:*,as=i{i}") for i, each in enumerate(made)) + f" --oidc-ca={ca}", expected=["issuer"])
    assert server.wait(90) == 1
    for issuer, fault in zip(made, hostile):
        assert re.search(f"issuer {issuer.url}: cannot fetch its keys, will try again: .*{fault}", server.log), server.log
    assert "cannot start without the keys of issuer" in server.log
    assert not host.links().keys() & {"vprox0"}


def test_only_a_server_with_a_certificate_for_its_name_is_the_issuer(host, issuers, node, authority, tmp_path, ca):
    """Of another authority, for another name, and of yesterday."""
    other = Authority(tmp_path)
    strange = Issuer(node, other, [RSA])
    named = issuers(host="localhost.example")
    host_file = tmp_path / "hosts"
    host_file.write_text(f"{node.address} localhost.example\n")
    host.mounts.append((host_file, "/etc/hosts"))
    server = host.launch(f"{option(strange)},as=strange {option(named)},as=named --oidc-ca={ca}", expected=["issuer"])
    assert server.wait(90) == 1
    strange.close()
    for issuer in strange, named:
        assert re.search(f"issuer {issuer.url}: cannot fetch its keys.*(certificate|mismatch)", server.log), server.log


def test_an_issuer_is_found_at_its_second_address_where_the_first_is_silent(host, client, node, authority, tmp_path, ca):
    """Which one is asked first is the library's to choose: of two issuers one has them the other way round."""
    options, hosts = [], tmp_path / "hosts"
    with contextlib.ExitStack() as stack:
        for name, own, other in ("a", node, client), ("b", client, node):
            issuer = stack.enter_context(contextlib.closing(Issuer(
                own, authority, [RSA], name=name, host=f"{name}.example", certified=f"{name}.example")))
            stack.enter_context(other.ns.enter(socket.create_server, (other.address, issuer.port)))
            options.append(f"{option(issuer)},as={name}")
        hosts.write_text("".join(f"{each.address} a.example b.example\n" for each in (node, client)))
        host.mounts.append((hosts, "/etc/hosts"))
        host.start(f"{' '.join(options)} --oidc-ca={ca}")


def test_what_fetches_keys_has_no_rights(host, issuer, ca):
    server = start(host, issuer, ca)
    fetcher, = server.children_called("oidc")
    found = status(fetcher)
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0
    assert found["Seccomp"] == "2" and found["NoNewPrivs"] == "1"
    users = {status(pid)["Uid"].split()[0] for pid in (fetcher, *server.gates(), *server.signers(), *server.stores())}
    assert len(users) == 4 and "0" not in users, "each kind has a user of its own"
    server.expect("killed by signal 9")
    os.kill(fetcher, signal.SIGKILL)
    wait.until(lambda: server.children_called("oidc") not in ([], [fetcher]), what="another takes its place")
    for line in 'vprox_process_up{process="oidc",number="0"} 1\n', \
                'vprox_process_restarts_total{process="oidc",number="0"} 1\n':
        wait.until(lambda: line in host.run("show --metrics")[1], what=line)  # pylint: disable=W0640
    server.stop()


def test_an_issuer_is_no_matter_of_a_reload(host, client, issuer, issuers, ca):
    other = issuers()
    config = host.state / "config"

    def write(*each):
        config.write_text("".join(
            f"oidc={one.url},audience={AUDIENCE},require=sub:*,as=i{i}\n" for i, one in enumerate(each)) + f"oidc-ca={ca}\n")
        config.chmod(0o600)
    write(issuer)
    server = host.start(f"--config={config}")
    assert ask(host, client, issuer.token()) == 200
    write(issuer, other)
    server.send_signal(signal.SIGHUP)
    assert server.logged("configuration read again", 60) and server.logged("restart to change --oidc")
    assert ask(host, client, issuer.token()) == 200
    assert ask(host, client, other.token()) == 401


@pytest.mark.parametrize("text, fault", [
    ("http://issuer.example,audience=a,require=sub:*", "https"),
    ("https://issuer.example,require=sub:*", "audience"),
    ("https://issuer.example,audience=a", "require"),
    ("https://issuer.example,audience=a,require=sub", "CLAIM:GLOB"),
    ("https://issuer.example,audience=a,require=sub:*,other=1", "audience=, require=, name= or as="),
    ("https://issuer.example,audience=a,require=sub:*,as=a:b", "as= is no label"),
    ("https://user@issuer.example,audience=a,require=sub:*", "https"),
])
def test_an_issuer_that_lets_in_whoever_is_refused(host, text, fault):
    code, said = host.run(["server", "--ip", host.address, "--wg-block=10.100.0.0/16", "--oidc", text])
    assert code == 2 and fault in said, said


def test_oidc_modal_and_other_issuers_do_not_go_together(host):
    code, said = host.run(["server", "--ip", host.address, "--wg-block=10.100.0.0/16",
                           "--oidc", "https://issuer.example,audience=a,require=sub:*"],
                          {"VPROX_AUTH_MODE": "oidc-modal"})
    assert code == 2 and "do not go together" in said, said


@pytest.mark.parametrize("labels", [("", ""), (",as=one", ""), ("", ",as=one"), (",as=one", ",as=one")])
def test_two_issuers_whose_clients_could_have_one_name_are_refused(host, labels):
    issuers = [f"--oidc=https://{i}.example,audience=a,require=sub:*{label}" for i, label in enumerate(labels)]
    code, said = host.run(["server", "--ip", host.address, "--wg-block=10.100.0.0/16", *issuers])
    assert code == 2 and "as=LABEL" in said and "https://0.example" in said, said


def test_clients_of_two_issuers_with_one_claim_are_two_names(host, client, issuer, issuers, ca):
    other = issuers()
    host.start(" ".join(f"--oidc={one.url},audience={AUDIENCE},require=sub:*,as={label}"
                        for one, label in ((issuer, "one"), (other, "two"))) + f" --oidc-ca={ca}")
    key = random_key()
    assert [host.api(client).connect(each, password=one.token(sub="ci")).status
            for each, one in ((key, issuer), (random_key(), other))] == [200, 200]
    peers = {peer["public_key"]: peer["name"] for peer in host.shown_peers()}
    assert peers.pop(key) == "oidc:one:ci" and list(peers.values()) == ["oidc:two:ci"]


def test_oidc_modal_without_a_password_is_what_it_is_in_any_case(host, client, issuer, ca):
    host.start(f"--no-password --oidc-ca={ca}",
               environment={"VPROX_PASSWORD": None, "VPROX_AUTH_MODE": "oidc-modal", "VPROX_OIDC_ISSUER": issuer.url})
    assert ask(host, client, issuer.token()) == 200
    assert ask(host, client, PASSWORD) == 401


def test_what_oidc_modal_asks_for_is_no_matter_of_a_reload_and_that_is_said(host, client, issuer, ca):
    config = host.state / "config"

    def write(mode, **settings):
        config.write_text(f"oidc-ca={ca}\nno-password\nVPROX_AUTH_MODE={mode}\nVPROX_OIDC_ISSUER={issuer.url}\n"
                          + "".join(f"VPROX_OIDC_{name}={value}\n" for name, value in settings.items()))
        config.chmod(0o600)
    write("oidc-modal", AUDIENCE=AUDIENCE)
    server = host.start(f"--config={config}", environment={"VPROX_PASSWORD": None})
    assert ask(host, client, issuer.token()) == 200
    write("oidc-modal", AUDIENCE="another", ALLOWED_WORKSPACE_IDS="ws-1")
    server.send_signal(signal.SIGHUP)
    assert server.logged("configuration read again", 60)
    assert server.logged("restart to change VPROX_OIDC_AUDIENCE")
    assert server.logged("restart to change VPROX_OIDC_ALLOWED_WORKSPACE_IDS")
    assert "VPROX_OIDC_ISSUER" not in server.log and "VPROX_AUTH_MODE" not in server.log
    assert ask(host, client, issuer.token()) == 200
    config.write_text(f"VPROX_PASSWORD={PASSWORD}\n")
    server.send_signal(signal.SIGHUP)
    assert server.logged("restart to change VPROX_AUTH_MODE", 60)
    assert ask(host, client, issuer.token()) == 200
