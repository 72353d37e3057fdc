"""Clients with a token of their own: who may come in, for how long and how often, and what goes with a
name that goes."""

import datetime
import re
import shlex
import subprocess
import time

import pytest

from lab.api import PASSWORD
from lab.client import REFUSED
from lab.server import pins_of
from lab.storm import Storm
from lab.tokens import STAYS, line, names, sha256, tunnel
from lab.tunnels import random_key
from lib import conntrack, wait

ENDED = 1  # second, for a name that went to lose its tunnels; and what a busy machine takes besides
SLACK = 15
MANY = 10000


def in_seconds(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def status(host, client, token):
    return host.api(client).get("/version", password=token).status


def each_name(host):
    """Also of those that have none."""
    return [peer["name"] for peer in host.shown_peers()]


def test_a_token_lets_in_under_its_name_beside_the_password_and_is_kept_nowhere(host, client, tokens):
    code, said = host.run("token --max-peers=5 --expires=2999-12-31 ci/runner")
    assert code == 0
    token, given, told = said.splitlines()
    assert given == f"ci/runner {sha256(token)} max-peers=5 expires=2999-12-31" and "first line" in told
    server = tokens.start("# who", "", given, line("shop", "b" * 40))
    assert status(host, client, PASSWORD) == 200
    assert host.api(client).connect(random_key(), password=token).status == 200
    assert host.api(client).connect_ipip(password="b" * 40).status == 200
    assert names(host) == ["token:ci/runner", "token:shop"]
    for wrong in (token[:-1], token + "x", token.upper(), sha256(token), "ci/runner", given):
        assert status(host, client, wrong) == 401
    assert server.logged(r"WireGuard peer .* has a tunnel, address .* \(token:ci/runner\)")
    assert token not in server.log and sha256(token) not in server.log


def test_what_several_allow_to_name_adds_up(host):
    code, said = host.run("token --allow-to=10.20.0.0/16 --allow-to=192.168.3.0/24,192.0.2.1/32 ci")
    assert code == 0 and said.splitlines()[1].endswith(" allow-to=10.20.0.0/16,192.168.3.0/24,192.0.2.1/32")
    for many in ("--allow-to=10.20.0.0/16 " * 17, "--allow-to=10.20.0.0/16," + ",".join(["10.20.0.0/16"] * 16)):
        code, said = host.run(f"token {many} ci")
        assert code == 2 and "vprox_" not in said and ("there are 16 already" in said or "one block more than the 16" in said)


@pytest.mark.parametrize("words, told", [
    ("--expires=soon ci", "--expires=soon: not a day, such as 2027-01-31"), ("--allow-to=10.0.0 ci", "--allow-to=10.0.0: not IPv4 blocks"),
    ("--allow-to=127.0.0.0/8 ci", "--allow-to=127.0.0.0/8: has a block that no tunnel reaches"), ("a!b", "a!b: a name is of letters"),
    ("x" * 65, "xxx: a name is of letters"), ("''", "a name is of letters")],
    ids=["date", "block", "loopback", "name", "long name", "no name"])
def test_what_is_wrong_with_a_token_is_told_with_the_value(host, words, told):
    code, said = host.run(f"token {words}")
    assert code == 2 and told in said and "vprox_" not in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("when", ["2020-01-01", "2026-01-01T00:00:00Z"])
def test_no_token_is_made_that_would_let_nobody_in(host, when):
    code, said = host.run(f"token --expires={when} ci")
    assert code == 2 and f"--expires {when}: is over by now" in said and "vprox_" not in said


def test_without_a_password_a_token_alone_is_good(host, client, tokens):
    tokens.start(line("ci", "a" * 40), arguments="--no-password", environment={"VPROX_PASSWORD": None})
    assert [status(host, client, each) for each in (PASSWORD, "", "a" * 40)] == [401, 401, 200]
    code, said = host.run(f"server --ip={host.address} --wg-block=10.100.0.0/16 --no-password")
    assert code == 2 and "--no-password: nobody could come in" in said


def test_a_password_that_was_not_read_at_the_start_is_none_after_a_reload(host, client, tokens):
    """And so it is said that there is none, where one would be needed from now on."""
    config = host.state / "config"
    config.write_text("no-password\n")
    config.chmod(0o600)
    tokens.start(line("ci", "a" * 40), arguments=f"--config={config}").expect(f"VPROX_PASSWORD is not set|{STAYS}")
    assert [status(host, client, each) for each in (PASSWORD, "a" * 40)] == [401, 200]
    config.write_text("\n")
    said = tokens.reload(line("ci", "a" * 40))
    assert "VPROX_PASSWORD is not set" in said and STAYS in said
    config.write_text(f"VPROX_PASSWORD={PASSWORD}\n")
    tokens.reload(line("ci", "a" * 40))
    wait.until(lambda: status(host, client, PASSWORD) == 200)


@pytest.mark.plane
def test_a_name_that_goes_loses_its_tunnels_and_flows_and_no_other_does(host, kind, clients, tokens):
    node, other = clients(2)
    tokens.start(line("ci", "a" * 40), line("shop", "b" * 40), arguments="--reap-interval=1h")
    going, staying = tunnel(host, kind, node, "a" * 40), tunnel(host, kind, other, "b" * 40)
    assert going.visit() and staying.visit()
    assert conntrack.count(host.ns, going.inner) > 0
    tokens.reload(line("shop", "b" * 40))
    began = time.monotonic()
    wait.until(lambda: names(host) == ["token:shop"], ENDED + SLACK)
    assert not going.ping(seconds=1)
    assert time.monotonic() - began < ENDED + SLACK
    assert status(host, node, "a" * 40) == 401
    wait.until(lambda: conntrack.count(host.ns, going.inner) == 0, ENDED + SLACK)
    assert staying.ping() and conntrack.count(host.ns, staying.inner) > 0
    assert tokens.server.logged(r"removed .* \(token:ci\), address .* is free: its token is none any more")


def test_a_token_that_expires_ends_its_tunnels(host, kind, clients, tokens):
    node, = clients(1)
    old = line("old", "c" * 40, "expires=2020-01-01")
    tokens.start(line("ci", "a" * 40, "expires=2999-01-01"), old, arguments="--reap-interval=1h")
    assert status(host, node, "c" * 40) == 401
    there = tunnel(host, kind, node, "a" * 40)
    assert there.ping() and names(host) == ["token:ci"]
    end = time.time() + 3
    tokens.reload(line("ci", "a" * 40, f"expires={in_seconds(3)}"), old)
    wait.until(lambda: not names(host), end - time.time() + ENDED + SLACK)
    assert time.time() >= end - 1
    assert status(host, node, "a" * 40) == 401
    assert tokens.server.logged(r"\(token:ci\), address .* is free: its token has expired")


def test_what_went_while_no_server_ran_is_not_adopted(host, client, tokens):
    tokens.start(line("ci", "a" * 40), line("shop", "b" * 40)).expect("the broker is gone")
    for token in ("a" * 40, "b" * 40):
        assert host.api(client).connect(random_key(), password=token).status == 200
    tokens.server.kill()
    tokens.start(line("shop", "b" * 40))
    wait.until(lambda: names(host) == ["token:shop"], ENDED + SLACK)


def test_without_a_store_a_server_is_told_the_names_by_the_one_before_it(host, client, other_client, tokens):
    """And what went meanwhile is not adopted; nothing of it is there when the tunnels are gone."""
    none = "--store=none"
    tokens.start(line("ci", "a" * 40), line("shop", "b" * 40), arguments=none).expect("the broker is gone")
    keys = [random_key() for _ in range(3)]
    for key, token in zip(keys, ("a" * 40, "b" * 40, PASSWORD)):
        assert host.api(client).connect(key, password=token).status == 200
    assert host.api(other_client).connect_ipip(password="b" * 40).status == 200
    assert host.api(client).connect(keys[0], password="b" * 40).status == 200
    assert host.api(client).connect(keys[0], password="a" * 40).status == 200
    names_file = host.state / "run" / "vprox" / "names"
    assert names_file.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        tokens.server.kill()
        tokens.start(line("ci", "a" * 40), line("shop", "b" * 40), arguments=none).expect("the broker is gone")
        assert sorted(map(str, each_name(host))) == ["None", "token:ci", "token:shop", "token:shop"]
    tokens.server.kill()
    tokens.start(line("ci", "a" * 40), arguments=none)
    wait.until(lambda: sorted(map(str, each_name(host))) == ["None", "token:ci"], ENDED + SLACK)
    tokens.server.stop()
    assert not names_file.exists()


@pytest.fixture(name="small_folder")
def fixture_small_folder(host, tmp_path):
    """The server's runtime folder, which has little room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "none", tmp_path], check=True)
    (host.state / "run/vprox").mkdir()
    host.mounts.insert(1, (tmp_path, "/run/vprox"))
    yield tmp_path
    for server in host.servers:
        server.discard()
    subprocess.run(["umount", "-l", tmp_path], check=True)


def test_names_that_cannot_be_written_or_read_are_said_and_nothing_is_left_of_them(host, client, tokens, small_folder):
    none = "--store=none --on-exit=keep"
    file = small_folder / "names"
    said = ["the broker is gone", "names of clients are not kept"]
    tokens.start(line("ci", "a" * 40), arguments=none, expected=said)
    assert host.api(client).connect(random_key(), password="a" * 40).status == 200 and file.exists()
    with open(small_folder / "other", "wb", 0) as other, pytest.raises(OSError):
        while True:
            other.write(bytes(512))
    tokens.server.kill()
    server = tokens.start(line("ci", "a" * 40), arguments=none, expected=said)
    assert server.logged("not kept in /run/vprox/names from now on: No space") and names(host) == ["token:ci"]
    assert not list(small_folder.glob("names*"))
    assert host.api(client).connect(random_key(), password="a" * 40).status == 200
    server.kill()
    (small_folder / "other").unlink()
    file.write_bytes(b"something else")
    server = tokens.start(line("ci", "a" * 40), arguments=none, expected=said)
    assert server.logged("names cannot be read: Bad message") and each_name(host) == [None, None]


def test_a_token_has_two_digests_for_a_while(host, client, tokens):
    both = f"ci {sha256('new')},{sha256('old')}"
    tokens.start(both)
    key = random_key()
    assert host.api(client).connect(key, password="old").status == 200
    tokens.reload(line("ci", "new"))
    wait.until(lambda: status(host, client, "old") == 401)
    assert host.api(client).connect(key, password="new").status == 200
    assert names(host) == ["token:ci"]


@pytest.mark.parametrize("bad, complaint", [
    ("ci", "line 2: behind the name comes the SHA-256"),
    ("ci " + "0" * 63, "line 2: behind the name comes the SHA-256"),
    ("ci " + "0" * 64 + "," + "x" * 64, "line 2: behind the name comes the SHA-256"),
    ("c\x1b[2Ji " + "0" * 64, "line 2: a name is of letters"),
    ("c\u00e9 " + "0" * 64, "line 2: a name is of letters"),
    ("x" * 65 + " " + "0" * 64, "line 2: its name has more than 64"),
    ("ci " + "0" * 64 + " max-peers=0", "line 2: max-peers=0: not a number from 1"),
    ("ci " + "0" * 64 + " expires=tomorrow", "line 2: expires=tomorrow: not a day, such as"),
    ("ci " + "0" * 64 + " allow-to=10.0.0.0/8,", "line 2: allow-to=10.0.0.0/8,: not IPv4 blocks"),
    ("ci " + "0" * 64 + " colour=red", "line 2: an option is"),
    ("shop " + "0" * 64, "line 2: another line has this name or this digest"),
    ("ci " + sha256("b" * 40), "line 2: another line has this name or this digest"),
    ("ci\0 " + "0" * 64, "is no text"),
], ids=["short", "digest", "second", "control", "utf8", "long", "zero", "date", "allow", "unknown", "name twice",
        "digest twice", "binary"])
def test_a_file_that_is_broken_says_the_line_and_changes_nothing(host, client, tokens, bad, complaint):
    tokens.start(line("shop", "b" * 40)).expect(f"{re.escape(str(tokens.path))}|{STAYS}")
    assert host.api(client).connect(random_key(), password="b" * 40).status == 200
    said = tokens.reload(line("shop", "b" * 40), bad)
    assert complaint in said and STAYS in said
    assert status(host, client, "b" * 40) == 200 and names(host) == ["token:shop"]
    assert "\x1b[" not in said


def test_a_file_that_others_read_is_warned_of(host, tokens):
    tokens.write(line("ci", "a" * 40), mode=0o644)
    server = host.start(f"--tokens={tokens.path}")
    assert server.logged(f"{re.escape(str(tokens.path))} is exposed")


def test_what_a_name_may_have_counts_over_all_addresses_and_asking_again_is_no_more(host, client, tokens):
    tokens.start(line("ci", "a" * 40, "max-peers=2"), line("shop", "b" * 40), ips=[host.address, host.second],
                 block="10.100.0.0/16", arguments="--wg-block-per-ip=/24")
    keys = [random_key() for _ in range(3)]
    first, second = host.api(client), host.api(client, host.second)
    assert first.connect(keys[0], password="a" * 40).status == 200
    assert second.connect(keys[1], password="a" * 40).status == 200
    for api in (first, second):
        refused = api.connect(keys[2], password="a" * 40)
        assert (refused.status, refused.text) == (429, "too many peers of this name\n")
    assert first.connect(keys[0], password="a" * 40).status == 200
    assert first.connect(keys[2], password="b" * 40).status == 200
    assert second.disconnect(keys[1], password="a" * 40).status == 200
    wait.until(lambda: first.connect(random_key(), password="a" * 40).status == 200)


def test_a_name_has_no_more_by_asking_for_the_tunnels_that_another_name_got(host, client, tokens):
    tokens.start(line("ci", "a" * 40, "max-peers=1"), line("shop", "b" * 40, "max-peers=1"))
    api, keys = host.api(client), [random_key() for _ in range(2)]
    assert api.connect(keys[0], password="a" * 40).status == 200
    assert api.connect(keys[0], password="b" * 40).status == 200
    assert api.connect(keys[1], password="a" * 40).status == 200
    refused = api.connect(keys[1], password="b" * 40)
    assert (refused.status, refused.text) == (429, "too many peers of this name\n")
    assert names(host) == ["token:ci", "token:shop"]
    assert api.connect(keys[1], password="a" * 40).status == 200


def test_the_last_addresses_are_not_for_a_name_that_has_half_of_all(host, clients, tokens):
    """However many sources its clients have; and who has another name, or none, gets one of one source."""
    near, far = clients(2)
    tokens.start(line("ci", "a" * 40), line("shop", "b" * 40), block="10.100.0.0/28")  # 13 addresses
    got = [host.api((near, far)[n % 2]).connect(random_key(), password="a" * 40).status for n in range(13)]
    assert got.count(200) == 11 and set(got[11:]) == {429}  # 80 % of 13 are 10.4
    assert host.api(near).connect(random_key(), password="b" * 40).status == 200


def test_nobody_takes_the_tunnel_of_another_name_while_it_is_in_use(host, kind, clients, tokens):
    node, other = clients(2)
    tokens.start(line("ci", "a" * 40), line("shop", "b" * 40))
    there = tunnel(host, kind, node, "a" * 40)
    assert there.ping()
    if kind == "wireguard":
        there.api.node = other  # it knows the public key, which is no secret
    for token in ("b" * 40, PASSWORD):
        there.password = token
        assert (there.request().status, there.disconnect().status) == (409, 409)
    there.password, there.api.node = "a" * 40, node
    assert names(host) == ["token:ci"] and there.ping() and there.request().status == 200


def test_ten_thousand_names_and_hangups_while_a_storm_runs(host, clients, tokens):
    """Gates come to know them all; nobody who has a token is refused meanwhile."""
    nodes = clients(2)
    lines = [line(f"runner-{n}", f"token-{n}") for n in range(MANY)]
    server = tokens.start(*lines, block="10.100.0.0/16", gates=2)

    def hang_up():
        for n in range(5):
            tokens.reload(*lines, line("extra", str(n)))

    storm = Storm(host, nodes)
    storm.during(1, hang_up)
    assert storm.granted and not storm.moved and not storm.shared
    for n in (0, 1, MANY // 2, MANY - 1):
        assert status(host, nodes[0], f"token-{n}") == 200
    assert status(host, nodes[0], "4") == 200 and status(host, nodes[0], "3") == 401
    assert server.gates() and not server.logged("error")


def test_a_token_of_64_kb_is_refused_as_too_large_and_harms_nothing(host, client, tokens):
    tokens.start(line("ci", "a" * 40))
    assert status(host, client, "x" * 65536) == 431
    assert status(host, client, "x" * 8000) == 401
    assert status(host, client, "a" * 40) == 200


@pytest.mark.plane
def test_a_client_shows_the_token_that_its_file_has_now(host, machine, kind, tokens):
    """Replaced as Kubernetes does, by another link; others may read it."""
    folder = machine.state / "token"
    folder.mkdir()

    def put(name, token):
        (folder / name).write_text(token)  # without a line break
        (folder / "new").symlink_to(name)
        (folder / "new").rename(folder / "token")

    put("first", "a" * 40)
    tokens.start(line("ci", "a" * 40), line("later", "b" * 40))
    client = machine.connect(host.address, f"--insecure --token-file={folder}/token", kind=kind, password=None)
    client.up()
    assert names(host) == ["token:ci"] and not client.count("exposed")
    put("second", "b" * 40)
    tokens.reload(line("later", "b" * 40))
    wait.until(lambda: names(host) == ["token:later"], 60, lambda: client.said)
    client.stop()


def test_a_client_whose_token_is_refused_is_not_told_of_a_password(host, machine, tokens):
    path = machine.state / "token"
    path.write_text("b" * 40)
    server = tokens.start(line("ci", "a" * 40))
    client = machine.connect(host.address, f"--insecure --token-file={path}", password=None)
    assert client.wait() == REFUSED
    assert "the server does not take this token" in client.log and "VPROX_PASSWORD" not in client.log
    _, said = run(machine, f"check {host.address} --pin={pins_of(server)[0]} --token-file={path}", {})
    assert re.search(r"password.*the server does not take this token", said) and "VPROX_PASSWORD" not in said, said


def test_exec_and_check_show_a_token_and_the_command_does_not_get_it(host, machine, tokens):
    path = machine.state / "token"
    path.write_text("a" * 40)
    server = tokens.start(line("ci", "a" * 40), arguments="--no-password", environment={"VPROX_PASSWORD": None})
    pin = f"--pin={pins_of(server)[0]}"
    for words, environment in ((f"--token-file={path}", {}), ("", {"VPROX_OIDC_TOKEN": "a" * 40}),
                               ("", {"VPROX_OIDC_TOKEN": "a" * 40, "VPROX_AUTH_MODE": "OIDC-Modal",
                                     "VPROX_PASSWORD": PASSWORD})):
        status, said = run(machine, f"check {host.address} {pin} {words}", environment)
        assert re.search(r"password.*the server takes it", said), said
        status, said = run(machine, f"exec {pin} --dns=198.51.100.53 --plane={host.options.plane} {words} {host.address} -- "
                           "sh -c 'env; echo done'", environment)
        assert status == 0 and "done" in said and "a" * 40 not in said and PASSWORD not in said, said
    status, said = run(machine, f"check {host.address} {pin}", {"VPROX_AUTH_MODE": "oidc-modal"})
    assert status == 2 and "VPROX_OIDC_TOKEN is not set" in said
    status, said = run(machine, f"connect {host.address} --token-file={path} --password-file={path}", {})
    assert status == 2 and "--token-file" in said and "does not go together" in said


def run(machine, words, environment):
    process = machine.ns.popen([machine.options.vprox, *shlex.split(words)], machine.mounts, text=True,
                               env={**machine.environment(None), **environment}, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said


def test_who_has_a_name_relinquishes_nothing_and_who_shows_the_password_does(host, client, tokens):
    server = tokens.start(line("ci", "a" * 40))
    server.expect("not relinquished for")
    refused = host.api(client).post("/relinquish", password="a" * 40)
    assert (refused.status, refused.text) == (403, "only who shows the password can relinquish\n")
    assert server.logged(r"not relinquished for .* \(token:ci\)") and not server.logged("its data plane stays")
    assert host.api(client).post("/relinquish").status == 200
    assert server.logged("its data plane stays when this server exits")
