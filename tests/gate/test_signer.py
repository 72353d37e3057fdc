"""The signer as a process: what it signs, for whom, and what a gate does without it."""

import errno
import hashlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

import harness
from harness import head, post, read_answer, wrap
from lib.memory import holds, private_number
from lib.process import open_files, state, status

REQUEST = struct.Struct("=IHHQII256s")
REPLY = struct.Struct("=IHHQ1024s")
NO_DIGEST, SHA256, SHA384, SHA512 = range(1, 5)
NO_PADDING, PKCS1, PSS = range(1, 4)
SIGNED, REFUSED = 1, 2
HASH = hashlib.sha256(b"a transcript").digest()
CONTEXT = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
VERIFY_13 = CONTEXT + HASH
RANDOMS = bytes(range(64))
with open(harness.PROGRAM, "rb") as program:
    SANITIZER = b"__asan_init" in program.read()
EXCHANGE_12 = RANDOMS + b"\x03\x00\x1d\x20" + bytes(32)


class Link:
    """A gate's end of a socket to a signer, without the gate."""

    def __init__(self, signer):
        self.socket = signer.connect()
        self.socket.settimeout(5)
        self.last_id = 0

    def send(self, content, digest=SHA256, padding=NO_PADDING, version=harness.SIGNING_VERSION, length=None):
        self.last_id += 1
        length = len(content) if length is None else length
        self.socket.send(REQUEST.pack(version, digest, padding, self.last_id, length, 0, content))

    def receive(self):
        """The signature; None if it was refused."""
        version, status, length, number, signature = REPLY.unpack(self.socket.recv(4096))
        assert version == harness.SIGNING_VERSION and number == self.last_id
        assert status in (SIGNED, REFUSED) and (status == SIGNED) == (length > 0)
        assert not signature[length:].strip(b"\0")
        return signature[:length] or None

    def sign(self, content, *arguments, **options):
        self.send(content, *arguments, **options)
        return self.receive()

    def is_closed(self):
        try:
            return self.socket.recv(4096) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def make_signer(tmp_path):
    signers = []

    def make(key):
        signers.append(harness.Signer(key, tmp_path / f"signer-{len(signers)}.log"))
        return signers[-1]
    yield make
    for signer in signers:
        assert signer.stop() == 0, signer.log()
        assert "Sanitizer" not in signer.log() and "runtime error" not in signer.log()


@pytest.fixture
def signer(make_signer, certificate):
    return make_signer(certificate[1])


def verifies(folder, certificate, content, signature, *options):
    """By another program, and with the public key alone."""
    public = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=certificate, capture_output=True, check=True)
    for name, data in (("public.pem", public.stdout), ("content", content), ("signature", signature)):
        (folder / name).write_bytes(data)
    return subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", *options, "content"],
        cwd=folder, capture_output=True).returncode == 0


# What it signs.


def test_it_signs_what_a_tls_server_signs(signer, certificate, tmp_path):
    link = Link(signer)
    for content in (VERIFY_13, EXCHANGE_12):
        signature = link.sign(content)
        assert signature and verifies(tmp_path, certificate[0], content, signature)


@pytest.mark.parametrize("content", [
    b"", HASH, b"a certificate of mine".ljust(200, b"x"), VERIFY_13[1:], VERIFY_13 + b"x", VERIFY_13[:-1],
    b" " * 64 + b"TLS 1.3, client CertificateVerify\0" + HASH,
    b"\t" * 64 + CONTEXT[64:] + HASH,
    RANDOMS + b"\x03\x00\x1d\x21" + bytes(33),  # longer than it can be
    RANDOMS + b"\x03\x00\x15\x20" + bytes(32),  # a curve that no gate offers
    RANDOMS + b"\x01\x00\x1d\x20" + bytes(32),  # parameters of the server's own
    RANDOMS + b"\x03\x00\x17\x41\x02" + bytes(64),  # a compressed point
    RANDOMS, RANDOMS + b"\x03",
])
def test_it_signs_nothing_else(signer, content):
    """So no certificate, and nothing that a client would sign: a gate that was taken over gets no
    signature that is of use without a handshake."""
    link = Link(signer)
    assert link.sign(content) is None
    assert link.sign(VERIFY_13), "and it goes on"


def test_rsa_is_padded_by_the_signer(make_signer, tmp_path):
    """What a gate sends is never given to the key as it is, which could decrypt with it."""
    certificate, key = harness.make_certificate(tmp_path, harness.RSA)
    link = Link(make_signer(key))
    pkcs1, pss = link.sign(VERIFY_13, padding=PKCS1), link.sign(VERIFY_13, padding=PSS)
    assert verifies(tmp_path, certificate, VERIFY_13, pkcs1)
    assert verifies(tmp_path, certificate, VERIFY_13, pss, "-sigopt", "rsa_padding_mode:pss",
                    "-sigopt", "rsa_pss_saltlen:digest")
    assert link.sign(VERIFY_13, padding=NO_PADDING) is None
    assert link.sign(VERIFY_13, digest=NO_DIGEST, padding=PKCS1) is None
    assert link.sign(b"\x00\x01" + b"\xff" * 254, padding=PKCS1) is None


@pytest.mark.parametrize("fields", [
    {"version": 1}, {"digest": 0}, {"digest": 5}, {"padding": 0}, {"padding": 4}, {"length": 257}, {"length": 2 ** 32 - 1}])
def test_a_gate_that_sends_nonsense_is_not_served_any_more(signer, fields):
    """And the broker is told which socket it was, so that it ends the gate."""
    bad, good = Link(signer), Link(signer)
    bad.send(VERIFY_13, **fields)
    assert bad.is_closed()
    assert signer.hear() == (harness.SIGNER_DROPPED, 0, 1, errno.EPROTO)
    assert good.sign(VERIFY_13)
    for packet in (b"x", bytes(REQUEST.size + 1)):
        bad = Link(signer)
        bad.socket.send(packet)
        assert bad.is_closed()
        assert signer.hear() == (harness.SIGNER_DROPPED, 0, signer.last_socket, errno.EPROTO)
    assert good.sign(VERIFY_13)


def test_a_gate_that_hangs_up_is_nothing_to_tell_of(signer):
    Link(signer).socket.close()
    Link(signer).socket.send(b"")  # as if it had
    assert signer.ping()


def test_a_gate_that_floods_it_keeps_no_other_waiting(signer):
    flooder, other = Link(signer), Link(signer)
    ends = threading.Event()

    def flood():
        while not ends.is_set():
            try:
                flooder.send(VERIFY_13)
                flooder.socket.recv(4096)
            except OSError:
                return

    def flood_without_reading():
        try:
            while not ends.is_set():
                flooder.send(VERIFY_13)
        except OSError:
            return
    threads = [threading.Thread(target=flood), threading.Thread(target=flood_without_reading)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        assert other.sign(VERIFY_13)
    signer.send_ping()
    heard = signer.hear()  # nor the broker, but that it may be dropped before, for not reading
    assert harness.SIGNER_ALIVE in (heard[0], heard[0] == harness.SIGNER_DROPPED and signer.hear()[0])
    ends.set()
    flooder.socket.close()
    for thread in threads:
        thread.join(10)
    assert other.sign(VERIFY_13)


def test_it_ends_with_the_broker(signer):
    assert signer.stop() == 0
    signer.stop = lambda: 0


# What it may not do.


def test_it_has_nothing_to_lose_but_the_key(signer):
    link = Link(signer)
    assert link.sign(VERIFY_13)
    found = status(signer.pid)
    assert found["Name"] == "vprox-signer"
    assert found["Seccomp"] == "2" and found["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0
    if os.geteuid() == 0:
        assert found["Uid"].split() == found["Gid"].split() == [str(harness.NOBODY)] * 4
        assert found["Groups"].strip() == "" and int(found["CapBnd"], 16) == 0
    with open(f"/proc/{signer.pid}/limits") as file:
        assert re.search(r"Max core file size +0 +0 ", file.read())
    names = [name for fd, name in open_files(signer.pid).items() if fd > 2]
    assert len(names) == 2 and all(name.startswith("socket:") for name in names)


@pytest.mark.skipif(SANITIZER, reason="its shadow memory is too large to search")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_private_key_is_in_the_signer_and_not_in_the_gate(gate, certificate, tmp_path):
    (tmp_path / "key.pem").write_bytes(certificate[1])
    secret = private_number(tmp_path / "key.pem")
    assert gate.ask(head("GET", "/healthz")).status == 200
    assert holds(gate.signer.pid, secret), "this is how it would be found"
    assert not holds(gate.pid, secret)


# A gate without it.


def test_a_gate_serves_only_once_it_has_a_signer(make_gate):
    gate = make_gate(with_signer=False)
    gate.answer_all()
    assert not gate.is_ready.wait(1) and gate.wait(0) is None
    gate.start_signer()
    assert gate.is_ready.wait(20)
    assert gate.ask(head("GET", "/healthz")).status == 200


def test_a_gate_that_waits_for_a_signer_can_be_told_to_finish(make_gate):
    gate = make_gate(with_signer=False)
    gate.drain()
    assert gate.wait(15) == 0


def test_without_a_signer_clients_wait_and_are_served_by_the_next_one(gate):
    assert gate.is_ready.wait(20)
    gate.answer_none()
    with gate.tls() as asking:
        asking.sendall(post("/connect-ipip"))
        request = gate.requests(1)[0]
        gate.signer.kill()
        with gate.connect() as plain:
            client = threading.Thread(target=lambda: answers.append(ask_over(plain)))
            answers = []
            client.start()
            time.sleep(0.5)
            gate.answer(request)
            assert read_answer(asking).status == 200, "what has its handshake behind it goes on"
            assert not answers, "and nobody is failed"
            gate.start_signer()
            client.join(5)
            assert answers == [200]
    gate.answer_all()


def ask_over(plain):
    with wrap(plain) as client:
        client.sendall(head("GET", "/healthz"))
        return read_answer(client).status


def test_a_handshake_whose_signer_dies_is_signed_by_the_next_one(gate):
    """No client need see that a signer has died."""
    assert gate.is_ready.wait(20)
    ours, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gate.signer.kill()
    gate.give_signer(its_end)
    answers = []
    with gate.connect() as plain:
        client = threading.Thread(target=lambda: answers.append(ask_over(plain)))
        client.start()
        ours.settimeout(5)
        assert len(ours.recv(4096)) == REQUEST.size
        ours.close()
        gate.start_signer()
        client.join(5)
        assert answers == [200]


def test_a_signer_that_answers_nonsense_harms_only_its_handshakes(gate):
    assert gate.is_ready.wait(20)
    ours, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gate.signer.kill()
    gate.give_signer(its_end)
    ours.settimeout(5)

    def answer(status, length, number=None):
        request = REQUEST.unpack(ours.recv(4096))
        ours.send(REPLY.pack(harness.SIGNING_VERSION, status, length, request[3] if number is None else number, b"x" * 64))
    for arguments in ((REFUSED, 0), (SIGNED, 64)):
        thread = threading.Thread(target=answer, args=arguments)
        thread.start()
        with pytest.raises(ssl.SSLError), gate.connect() as plain:
            wrap(plain)
        thread.join()
    ours.send(REPLY.pack(harness.SIGNING_VERSION, SIGNED, 64, 999, b"x" * 64))  # of a request that was never made


def test_a_gate_whose_signer_makes_no_sense_ends_so_that_there_is_another(make_gate):
    """Its socket would lead nowhere for as long as that signer lives."""
    gate = make_gate()
    assert gate.is_ready.wait(20)
    ours, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gate.signer.kill()
    gate.give_signer(its_end)
    ours.send(b"nonsense")
    assert gate.wait(15) == 1
    assert "the signer sent what is no message" in gate.log()


def read_to_the_end(plain):
    """There is an alert at the most."""
    plain.settimeout(15)
    try:
        while plain.recv(4096):
            pass
    except ConnectionResetError:
        pass
    plain.close()


def test_while_the_signer_stands_still_nothing_but_handshakes_waits(gate):
    gate.answer_none()
    with gate.tls() as asking, gate.tls() as reading:
        asking.sendall(post("/connect-ipip"))
        request = gate.requests(1)[0]
        os.kill(gate.signer.pid, signal.SIGSTOP)
        start = time.monotonic()
        waiting = [gate.connect() for _ in range(40)]  # more than a gate has jobs for
        for plain in waiting:
            plain.sendall(client_hello())
        time.sleep(0.3)
        reading.sendall(head("GET", "/healthz"))
        assert read_answer(reading).status == 200
        gate.answer(request)
        assert read_answer(asking).status == 200
        assert time.monotonic() - start < 5
        for plain in waiting:
            read_to_the_end(plain)
        assert 4 < time.monotonic() - start < 9, "their deadline"
        assert "the signer has not answered in time" in gate.log()
    os.kill(gate.signer.pid, signal.SIGCONT)
    assert gate.ask(head("GET", "/healthz")).status == 200
    gate.answer_all()


def assert_sleeps(pid):
    """A process that looks for something again and again is never seen asleep."""
    time.sleep(0.2)
    states = []
    for _ in range(50):
        states.append(state(pid))
        time.sleep(0.01)
    assert states.count("S") > 40, states


def test_a_gate_sleeps_until_an_answer_comes(gate):
    """Also for a client that is alone."""
    gate.answer_none()
    assert gate.is_ready.wait(20)
    os.kill(gate.signer.pid, signal.SIGSTOP)
    with gate.connect() as plain:
        answers = []
        client = threading.Thread(target=lambda: answers.append(ask_over(plain)))
        client.start()
        assert_sleeps(gate.pid)
        assert not answers
        os.kill(gate.signer.pid, signal.SIGCONT)
        client.join(10)
        assert answers == [200]
    with gate.tls() as client:
        client.sendall(post("/connect-ipip"))
        request = gate.requests(1)[0]
        assert_sleeps(gate.pid)
        gate.answer(request)
        assert read_answer(client).status == 200
    gate.answer_all()


def test_clients_that_go_while_they_wait_leave_room_for_others(gate):
    os.kill(gate.signer.pid, signal.SIGSTOP)
    for _ in range(30):
        with gate.connect() as plain:
            plain.sendall(client_hello())
    waiting = [gate.connect() for _ in range(30)]
    answers = []
    threads = [threading.Thread(target=lambda plain=plain: answers.append(ask_over(plain))) for plain in waiting]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert not answers
    os.kill(gate.signer.pid, signal.SIGCONT)
    for thread in threads:
        thread.join(10)
    assert answers == [200] * 30


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("kind", [
    harness.EC, ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"), ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"),
    harness.RSA, ("-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"), ("-newkey", "ed25519"), ("-newkey", "ed448")],
    ids=["P-256", "P-384", "P-521", "RSA", "RSA-PSS", "Ed25519", "Ed448"])
def test_keys_of_all_kinds_stay_with_the_signer(kind, tmp_path):
    gate = harness.Gate(*harness.make_certificate(tmp_path, kind), tmp_path)
    try:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with gate.tls(version=version) as client:
                client.sendall(head("GET", "/healthz"))
                assert read_answer(client).status == 200
    finally:
        assert gate.stop(), gate.log()
