"""What is promised outlives the host's memory: the same address, the same keys, after a reboot and
after any death; and a store that fails keeps nobody from a tunnel."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from lab.tunnels import random_key
from lib import inject, wait
from lib.process import open_files, stand_still, status

BACK = 45


def folder(host):
    return host.state / "lib/vprox/store"


def promised(host):
    """Inner address to who was promised it."""
    return dict(host.stored("SELECT inner_address, coalesce(public_key, remote_address) FROM peer"))


@contextlib.contextmanager
def edited(host):
    """The file, for somebody who changes it while no store has it open."""
    with contextlib.closing(sqlite3.connect(folder(host) / "store.db")) as database, database:
        yield database


def kill_store(server):
    server.expect(r"store 0, process \d+, was killed")
    (pid,) = wait.until(server.stores, what="a store")
    os.kill(pid, signal.SIGKILL)
    return pid


def ask_for(host, client, n):
    """Addresses of n new WireGuard peers that nobody is behind."""
    api = host.api(client)
    return [api.connect(random_key()).inner for _ in range(n)]


@pytest.mark.plane
def test_after_a_reboot_tunnels_come_back_by_themselves(host, client, kind):
    host.start()
    tunnel = host.tunnel(kind, client).up()
    assert tunnel.ping()
    if kind == "wireguard":
        # Where it is, is written when it is known.
        wait.until(lambda: host.stored("SELECT 1 FROM peer WHERE outer_port > 0"), BACK)
    host.reboot()
    server = host.start("--reap-interval=1h")
    assert server.logged("1 peers that were not there any more have their tunnels again")
    # Not by its health check: the client of this test has none.
    wait.until(lambda: tunnel.ping(seconds=1), BACK, "the tunnel works again")
    before = tunnel.inner
    assert tunnel.request().inner == before


@pytest.mark.plane
def test_after_a_reboot_who_asks_in_another_order_has_its_address(host, client):
    host.start()
    keys = [random_key() for _ in range(20)]
    api = host.api(client)
    before = {key: api.connect(key).json["AssignedAddr"] for key in keys}
    host.reboot()
    host.start()
    assert {key: api.connect(key).json["AssignedAddr"] for key in reversed(keys)} == before
    assert api.connect(random_key()).json["AssignedAddr"] not in before.values()


@pytest.mark.parametrize("end", [lambda host: host.servers[-1].kill(), lambda host: host.reboot()],
                         ids=["kill", "reboot"])
def test_a_start_writes_nothing_of_clients_who_have_not_changed(host, client, end):
    """Above all not that they were active just now."""
    host.start()
    addresses = ask_for(host, client, 20)
    end(host)
    with edited(host) as database:
        database.execute("UPDATE peer SET active = made - 1000")
        database.execute("CREATE TABLE written (address TEXT)")
        database.execute("CREATE TRIGGER written AFTER INSERT ON peer BEGIN"
                         " INSERT INTO written VALUES (new.inner_address); END")
    before = host.stored("SELECT * FROM peer")
    host.start()
    new, = ask_for(host, client, 1)
    assert host.stored("SELECT address FROM written") == [(new,)]
    assert host.stored(f"SELECT * FROM peer WHERE inner_address != '{new}'") == before
    assert {*addresses, new} == set(promised(host))


def test_a_grant_is_on_the_disk_before_it_is_answered(host, client):
    host.start()
    api = host.api(client)
    for _ in range(5):
        key = random_key()
        inner = api.connect(key).inner
        assert promised(host)[inner] == key


@pytest.mark.sanitize
def test_whoever_dies_all_that_was_answered_is_kept(host, client):
    """The broker and the store are killed amid connects, and at last both with the device."""
    server = host.start(gates=2, expected=[r"store 0, process \d+", "the broker is gone"])
    api = host.api(client)
    answered, ends = {}, threading.Event()

    def ask():
        while not ends.is_set():
            key = random_key()
            try:
                response = api.connect(key)
            except OSError:
                continue
            if response.status == 200:
                answered[key] = response.inner
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(4):
            kill_store(server)
            n = len(answered)
            wait.until(lambda n=n: len(answered) > n + 5, BACK, "further tunnels are given")
    finally:
        ends.set()
        thread.join()
    host.reboot()
    host.start()
    assert answered
    assert {key: api.connect(key).inner
            for key in answered} == answered
    assert set(answered.items()) <= {(key, inner) for inner, key in promised(host).items()}


def test_who_was_told_to_be_gone_does_not_come_back_whoever_dies(host, client):
    """The only address there is can be had by the next one, who comes after a kill."""
    host.start(block="10.100.0.0/30")
    for _ in range(5):
        api, key = host.api(client), random_key()
        assert api.connect(key).status == 200
        assert api.disconnect(key).status == 200
        host.servers[-1].kill()
        assert not promised(host)
        host.start(block="10.100.0.0/30")


def test_a_store_that_hangs_costs_a_client_its_wait_and_the_others_nothing(host, client):
    server = host.start("--store-wait=500ms")
    api = host.api(client)
    api.connect(random_key())
    (pid,) = server.stores()
    stand_still(pid)
    try:
        begin = time.monotonic()
        assert api.connect(random_key()).status == 200
        assert time.monotonic() - begin >= 0.4
        assert server.logged("the store has not answered for 500 ms", BACK)
        took = []
        for _ in range(5):
            begin = time.monotonic()
            assert api.connect(random_key()).status == 200
            took.append(time.monotonic() - begin)
        assert min(took) < 0.5, "nobody waits for it a second time"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert server.logged("the store is up to date again", BACK)
    assert len(promised(host)) == 7
    assert server.log.count("the store has not answered") == 1


def test_a_disk_that_is_full_stops_nothing_and_is_caught_up_with(host, client):
    """A file system of the store's own, so small that a few peers fill it."""
    folder(host).parent.mkdir(parents=True)
    small = host.state / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "small", small], check=True)
    try:
        host.mounts.append((small, "/var/lib/vprox"))
        server = host.start("--store-wait=50ms", expected=["cannot write /var/lib/vprox/store"])
        filler = small / "filler"
        with open(filler, "wb", buffering=0) as stream:
            try:
                while True:
                    stream.write(bytes(4096))
            except OSError:
                pass  # it is full
        api = host.api(client)
        given = [api.connect(random_key()) for _ in range(200)]
        assert {response.status for response in given} == {200}
        assert server.logged("cannot write /var/lib/vprox/store/store.db", BACK)
        assert server.log.count("cannot write /var/lib/vprox/store/store.db") == 1
        filler.unlink()
        assert server.logged("store.db can be written again", BACK)

        def all_there():
            with sqlite3.connect(small / "store/store.db") as database:
                return database.execute("SELECT count(*) FROM peer").fetchone()[0] == 200
        wait.until(all_there, BACK, "all are stored")
        server.stop()
    finally:
        subprocess.run(["umount", "-l", small], check=True)


@pytest.mark.sanitize
def test_a_damaged_file_is_set_aside_and_made_anew(host, client):
    host.start()
    addresses = ask_for(host, client, 3)
    host.servers[-1].kill()
    for file in folder(host).iterdir():
        file.unlink()
    (folder(host) / "store.db").write_bytes(b"this is no database at all" * 1000)
    server = host.start(expected=["store.db is damaged, and is set aside"])
    (aside,) = folder(host).glob("store.db.damaged-*Z")
    assert server.logged(f"store.db is damaged, and is set aside as {aside.name}: ")
    # They are still there, in the data plane.
    wait.until(lambda: sorted(promised(host)) == sorted(addresses), BACK, "all are stored again")
    server.stop()
    assert f"would remove /var/lib/vprox/store/{aside.name}" in host.run("clean --dry-run")[1]
    assert aside.exists()
    # It may hold a private key.
    assert host.run("clean")[0] == 0
    assert list(folder(host).iterdir()) == []


@pytest.mark.parametrize("left", [b"this is no database at all" * 1000, None],
                         ids=["damaged", "removed"])
def test_a_file_that_is_lost_with_its_process_is_written_anew(host, client, left):
    server = host.start(expected=["store.db is damaged, and is set aside"] if left else [])
    addresses = ask_for(host, client, 3)
    (pid,) = server.stores()
    stand_still(pid)
    for file in folder(host).iterdir():
        file.unlink()
    if left:
        (folder(host) / "store.db").write_bytes(left)
    kill_store(server)

    def all_there():
        # Whoever opens a file that is not there makes it.
        if not (folder(host) / "store.db").exists():
            return False
        try:
            return sorted(promised(host)) == sorted(addresses)
        except sqlite3.Error:
            return False
    wait.until(all_there, BACK, "all are stored again")


def test_what_an_operator_or_a_death_has_done_to_modes_stops_no_store(host, client):
    """SQLite gives what it makes beside a file the file's mode."""
    host.start()
    ask_for(host, client, 1)
    host.reboot()
    with edited(host) as database:
        database.execute("PRAGMA journal_mode = DELETE")  # so that they are made again
    (folder(host) / "store.db").chmod(0o644)
    folder(host).chmod(0o750)
    server = host.start()
    ask_for(host, client, 1)
    assert len(promised(host)) == 2
    assert oct(folder(host).stat().st_mode & 0o777) == "0o770"


def test_a_store_that_runs_as_another_user_than_before_has_its_files(host, client):
    """Without the right to give files away, which the server's unit has not."""
    host.start()
    addresses = ask_for(host, client, 3)
    host.reboot()
    former = 60123
    for file in [folder(host), *folder(host).iterdir()]:
        os.chown(file, 0 if file == folder(host) else former, former)
    server = host.start()
    assert server.logged(f"store.db is user {former}'s, and was opened for the store")
    assert sorted(host.holders()) == sorted(addresses)
    new, = ask_for(host, client, 1)
    assert sorted(promised(host)) == sorted([*addresses, new])


def test_a_file_that_is_read_only_is_read_and_written_when_it_can_be(host, client):
    host.start()
    addresses = ask_for(host, client, 3)
    host.reboot()
    (folder(host) / "store.db").chmod(0o400)
    server = host.start("--store-wait=50ms", expected=["cannot write /var/lib/vprox/store"])
    assert sorted(host.holders()) == sorted(addresses)
    new, = ask_for(host, client, 1)
    assert server.logged("cannot write .*store.db, will try again every second: .*readonly", BACK)
    (folder(host) / "store.db").chmod(0o600)
    assert server.logged("store.db can be written again", BACK)
    wait.until(lambda: sorted(promised(host)) == sorted([*addresses, new]), BACK)


def test_what_the_file_does_not_take_is_named_and_holds_nothing_up(host, client):
    host.start()
    ask_for(host, client, 1)
    host.servers[-1].kill()
    with edited(host) as database:
        database.execute("CREATE TRIGGER rule BEFORE INSERT ON peer WHEN new.kind = 'ipip'"
                         " BEGIN SELECT RAISE(ABORT, 'no more of these'); END")
    server = host.start(expected=["store.db does not take"])
    assert host.api(client).connect_ipip().status == 200
    ask_for(host, client, 1)
    assert server.logged(f"does not take what endpoint {host.address} has promised about 10.100.0.3: "
                         "no more of these; it is left out, 1 so far")
    assert sorted(promised(host)) == ["10.100.0.2", "10.100.0.4"]
    assert host.shown()["store"]["refused"] == 1
    assert "1 changes were not taken" in host.run("show")[1]
    assert "vprox_store_refused_total 1\n" in host.run("show --metrics")[1]


def test_an_address_that_is_served_no_more_keeps_its_promises_for_a_month(host, client):
    flags, both = "--on-exit=keep --wg-block-per-ip=/24", [host.address, host.second]
    host.start(flags, ips=both)
    kept = host.api(client, host.second).connect(key := random_key()).inner
    host.servers[-1].kill()

    def served_last(days_ago):
        with edited(host) as database:
            then = int(time.time()) - days_ago * 24 * 60 * 60
            database.execute("UPDATE endpoint SET handshake_floor = ? WHERE address = ?", (then, host.second))
            database.execute("UPDATE peer SET active = ? WHERE endpoint = ?", (then, host.second))

    def rows():
        return [host.stored(f"SELECT count(*) FROM {table} WHERE {column} = '{host.second}'")[0][0]
                for table, column in [("endpoint", "address"), ("peer", "endpoint")]]
    served_last(days_ago=29)
    server = host.start(flags)
    assert server.logged(f"endpoint {host.second} is not served: what was promised to 1 clients is kept")
    server.stop()
    assert rows() == [1, 1]
    server = host.start(flags, ips=both)
    assert host.api(client, host.second).connect(key).inner == kept
    server.kill()
    served_last(days_ago=31)
    server = host.start(flags)
    assert server.logged(f"endpoint {host.second} is not served, and was not for 30 days")
    wait.until(lambda: rows() == [0, 0], BACK)


def test_the_key_is_that_of_an_endpoint_that_is_served(host, client):
    host.start()
    api = host.api(client)
    before = api.connect(random_key()).json["ServerPublicKey"]
    host.reboot()
    with edited(host) as database:
        database.execute("INSERT INTO endpoint VALUES ('1.2.3.4', 9, '10.9.0.0/24', 9, ?, 0, 0)",
                         (random_key(),))
    host.start()
    assert api.connect(random_key()).json["ServerPublicKey"] == before


def test_a_file_that_a_newer_version_made_is_kept(host, client):
    host.start()
    ask_for(host, client, 1)
    host.servers[-1].kill()
    with edited(host) as database:
        database.execute("PRAGMA user_version = 99")
    host.start(expected=["set aside as .*: its tables are of version 99"])
    kept = [path for path in folder(host).glob("store.db.damaged-*Z")]
    assert len(kept) == 1
    with sqlite3.connect(kept[0]) as database:
        assert database.execute("SELECT count(*) FROM peer").fetchone() == (1,)


def test_a_file_that_an_older_version_made_is_brought_up_to_date_with_all_that_is_in_it(host, client):
    host.start()
    key = random_key()
    before = host.api(client).connect(key).json
    host.reboot()
    with edited(host) as database:
        # As version 1 had it; all later versions have added columns alone.
        database.execute("ALTER TABLE endpoint DROP COLUMN handshake_floor")
        database.execute("PRAGMA user_version = 1")
    host.start()
    assert list(host.holders().values()) == [key]
    after = host.api(client).connect(key).json
    assert (after["AssignedAddr"], after["ServerPublicKey"]) == \
        (before["AssignedAddr"], before["ServerPublicKey"])
    assert host.stored("PRAGMA user_version") > [(1,)]
    assert not list(folder(host).glob("*damaged*"))


@pytest.mark.sanitize
def test_rows_that_make_no_sense_are_ignored(host, client):
    host.start()
    address, = ask_for(host, client, 1)
    host.reboot()
    with edited(host) as database:
        for inner, kind, key in [("10.100.0.300", "wireguard", random_key()),
                                 ("10.100.0.9", "pigeon", random_key()),
                                 ("10.100.0.10", "wireguard", "short"),
                                 ("192.0.2.1", "wireguard", random_key()),
                                 ("10.100.0.1", "wireguard", random_key())]:
            database.execute("INSERT INTO peer VALUES (?, ?, ?, ?, NULL, NULL, 0, 0, 0, '')",
                             (host.address, inner, kind, key))
    server = host.start()
    assert server.logged("3 rows make no sense, and are ignored")
    assert server.logged("1 peers that were not there any more have their tunnels again, 2 could")
    assert list(host.holders()) == [address]


def test_no_tunnel_is_made_to_an_address_that_is_the_hosts_own_since(host, client):
    host.start()
    address, = ask_for(host, client, 1)
    host.reboot()
    with edited(host) as database:
        database.execute("INSERT INTO peer VALUES (?, '10.100.0.9', 'ipip', NULL, ?, NULL, 0, 0, 0, '')",
                         (host.address, host.address))
    server = host.start(expected=["no IPIP tunnel is possible"])
    assert server.logged(f"no IPIP tunnel is possible to {host.address}, who was promised one")
    assert list(host.holders()) == [address]


def test_promises_that_come_too_late_to_be_kept_stay_for_the_next_start(host, client):
    """Somebody holds the file while the server starts."""
    host.start()
    addresses = ask_for(host, client, 3)
    host.reboot()
    holder = sqlite3.connect(folder(host) / "store.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    server = host.start(expected=["cannot write .*store.db", "what is in the store cannot be read"])
    holder.close()
    assert server.logged("what is stored came too late", BACK)
    new, = ask_for(host, client, 1)
    assert set(promised(host)) == {new, *addresses}


def test_a_server_that_stops_promises_nothing_and_keep_promises_all(host, client):
    host.start("--on-exit=keep")
    ask_for(host, client, 2)
    host.servers[-1].stop()
    assert len(promised(host)) == 2
    host.start()
    host.servers[-1].stop()
    assert not promised(host)


def test_a_start_that_fails_breaks_no_promise(host, client):
    host.start()
    addresses = ask_for(host, client, 2)
    host.reboot()
    # Somebody has the port.
    other = host.ns.popen(["/usr/bin/python3", "-c",
                           "import socket, time\n"
                           f"s = socket.create_server(('{host.address}', 443))\n"
                           "print('there', flush=True)\ntime.sleep(60)"], stdout=-1, text=True)
    assert other.stdout.readline()
    failed = host.launch(expected=["."])
    assert failed.wait() != 0
    other.kill()
    other.wait()
    assert sorted(promised(host)) == sorted(addresses)


def test_addresses_freed_before_a_reboot_are_given_out_last(host, client):
    host.start("--max-peers-per-source=5", block="10.100.0.0/29")
    api = host.api(client)
    keys = [random_key() for _ in range(5)]
    taken = [api.connect(key).inner for key in keys]
    for i in (3, 1):
        api.disconnect(keys[i])
    wait.until(lambda: [row[0] for row in host.stored(
        "SELECT inner_address FROM freed ORDER BY place")] == [taken[3], taken[1]], BACK)
    host.reboot()
    host.start("--max-peers-per-source=5", block="10.100.0.0/29")
    assert [ask_for(host, client, 1)[0] for _ in range(2)] == [taken[3], taken[1]]


def test_a_store_that_does_not_even_end_when_it_is_killed_keeps_no_server_from_its_end(host, client):
    """As one does not that waits for a disk: here somebody else has to see its end first."""
    before = host.ruleset()
    server = host.start(expected=[r"store 0, process \d+, was killed and does not end"])
    ask_for(host, client, 1)
    (pid,) = server.stores()
    inject.ptrace(inject.PTRACE_SEIZE, pid)
    try:
        server.stop()
    finally:
        os.waitpid(pid, inject.WALL)
    assert host.ruleset() == before


def test_a_store_of_another_version_is_named_and_nobody_waits_for_it(host, client, tmp_path):
    """As after an upgrade of the package, while the server runs."""
    program = tmp_path / "vprox"
    shutil.copy(host.options.vprox, program)
    store = tmp_path / "vprox-store"
    store.write_text("#!/usr/bin/python3\nimport socket, struct\n"
                     "socket.socket(fileno=3).send(struct.pack('I', 4711))\n")
    store.chmod(0o755)
    server = host.start(program=program, expected=[r"store 0, process \d+"])
    assert server.logged("is of another version than this server, which has to be started again")
    ask_for(host, client, 3)
    assert server.log.count("is of another version") == 1
    assert not server.logged("what is in the store cannot be read")


def test_without_a_store_nothing_is_written(host, client):
    server = host.start("--store=none")
    ask_for(host, client, 1)
    assert not server.stores()
    assert not folder(host).exists()


def test_the_store_has_no_rights_and_only_its_files(host, client):
    server = host.start()
    ask_for(host, client, 1)
    (pid,) = server.stores()
    found = status(pid)
    gates = {os.stat(f"/proc/{gate}").st_uid for gate in server.gates()}
    users = set(map(int, found["Uid"].split()))
    assert len(users) == 1 and not users & {0, *gates}
    assert int(found["CapEff"], 16) == 0
    assert int(found["CapPrm"], 16) == 0
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"
    files = {name for fd, name in open_files(pid).items() if fd > 2 and name.startswith("/")}
    assert files <= {f"/var/lib/vprox/store/store.db{end}" for end in ("", "-wal", "-shm")}, files
    assert oct((folder(host)).stat().st_mode & 0o777) == "0o770"
    assert oct((folder(host) / "store.db").stat().st_mode & 0o777) == "0o600"
