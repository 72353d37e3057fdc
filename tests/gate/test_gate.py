"""The gate as a process: real TLS, real curl, a broker that says what the test wants."""

import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

import harness
from harness import SANITIZER, Endpoint, chunked, client_hello, head, post, read_answer, read_to_end, wrap
from lib import wait
from lib.process import open_files

KEY = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="  # 32 bytes of 1
SERVER_KEY = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="  # harness.SERVER_KEY
BODY = json.dumps({"PeerPublicKey": KEY}).encode()
INSIDE = "127.10.0.5"  # a source address, in a block that some tests give the endpoint
OUTSIDE_TEXT = "control-plane requests must originate outside the VPN\n"


def assert_answer(answer, status, body):
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Connection"] == "close"
    expected = "application/json" if body.startswith("{") else "text/plain"
    assert answer.headers["Content-Type"] == expected
    assert answer.clean_end


# Requests and answers.


def test_root_names_both_ends_of_the_connection(gate):
    with gate.tls() as client:
        port = client.getsockname()[1]
        client.sendall(head("GET", "/", bearer=None))
        answer = read_answer(client)
    assert_answer(answer, 200,
                  f"vprox ok. received 127.0.0.1:{port} -> 127.0.0.1:{gate.ports[0]}\n")


def test_health_needs_no_bearer(gate):
    assert_answer(gate.ask(head("GET", "/healthz?x=1", bearer=None)), 200, "ok\n")


def test_version_is_json_and_needs_the_bearer(gate):
    answer = gate.ask(head("GET", "/version"))
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/json"
    assert set(json.loads(answer.body)) == {"git_commit", "git_tag"}
    assert_answer(gate.ask(head("GET", "/version", bearer=None)), 401, "unauthorized\n")


@pytest.mark.parametrize("path, operation, body, expected", [
    ("/connect", harness.CONNECT_WIREGUARD, BODY,
     '{"AssignedAddr":"10.100.0.2/16","ServerPublicKey":"%s","ServerListenPort":50227}'
     % SERVER_KEY),
    ("/connect-ipip", harness.CONNECT_IPIP, b"", '{"AssignedAddr":"10.100.0.2/16"}'),
    ("/disconnect", harness.DISCONNECT_WIREGUARD, BODY, '{"Status":"success"}'),
    ("/disconnect-ipip", harness.DISCONNECT_IPIP, b"", '{"Status":"success"}'),
    ("/relinquish", harness.RELINQUISH, b"", '{"Status":"relinquished"}'),
])
def test_a_post_asks_the_broker_and_its_answer_goes_back(gate, path, operation, body, expected):
    assert_answer(gate.ask(post(path, body)), 200, expected)
    request, = gate.requests(1)
    assert request.operation == operation and request.endpoint == 0
    assert request.source == harness.ipv4("127.0.0.1")
    assert request.key == (bytes([1] * 32) if body else bytes(32))


@pytest.mark.parametrize("path", ["/connect-ipip", "/disconnect-ipip"])
def test_the_broker_gets_a_digest_of_the_id_that_a_client_gives_itself(gate, path):
    for fields in ("Vprox-Client: some id", "vprox-client: another"), ("Vprox-Client: " + "x" * 4000,), (
            "Vprox-Client:",):
        gate.ask(head("POST", path, "Content-Length: 0", *fields))
    assert [request.key for request in gate.requests(3)] == [
        hashlib.sha256(b"some id").digest(), hashlib.sha256(b"x" * 4000).digest(), bytes(32)]


@pytest.mark.parametrize("path, status, expected", [
    ("/connect-ipip", harness.OTHER_CLIENT, (409, "another client has the tunnel to this address\n")),
    ("/connect", harness.TOO_MANY_PEERS, (429, "too many peers from this address\n")),
    ("/connect-ipip", harness.TOO_MANY_PEERS, (429, "too many peers from this address\n")),
    ("/connect", harness.POOL_EXHAUSTED, (503, "no more IP addresses available\n")),
    ("/connect-ipip", harness.POOL_EXHAUSTED, (503, "no more IP addresses available\n")),
    ("/connect", harness.SHUTTING_DOWN, (503, "server shutting down\n")),
    ("/connect", harness.INVALID_KEY, (400, "invalid peer public key\n")),
    ("/connect", harness.FAILED, (500, "failed to configure WireGuard peer\n")),
    ("/connect-ipip", harness.FAILED, (500, "failed to create IPIP tunnel\n")),
    ("/disconnect", harness.FAILED, (500, "failed to cleanup peer\n")),
    ("/disconnect-ipip", harness.FAILED, (500, "failed to cleanup peer\n")),
])
def test_what_the_broker_refuses_has_its_own_answer(gate, path, status, expected):
    gate.answer_all(status)
    assert_answer(gate.ask(post(path, BODY)), *expected)


def test_each_endpoint_speaks_for_its_own_block(make_gate):
    gate = make_gate(endpoints=[Endpoint(), Endpoint("127.0.0.2", "10.101.0.0", 24, port=50228)])
    gate.answer_all(address="10.101.0.9")
    with wrap(socket.create_connection(("127.0.0.2", gate.ports[1]), 5)) as client:
        client.sendall(post("/connect", BODY))
        answer = json.loads(read_answer(client).body)
    assert answer["AssignedAddr"] == "10.101.0.9/24" and answer["ServerListenPort"] == 50228
    assert gate.requests(1)[0].endpoint == 1


def test_endpoints_come_and_go_behind_the_filter_of_system_calls(make_gate):
    gate = make_gate(more_endpoints=1)
    gate.answer_all(address="10.101.0.9")
    assert gate.ask(post("/connect", BODY)).status == 200
    late = Endpoint("127.0.0.2", "10.101.0.0", 24, port=50228)
    number = gate.serve(late)

    def ask():
        with wrap(socket.create_connection(("127.0.0.2", gate.ports[number]), 5)) as client:
            client.sendall(post("/connect", BODY))
            return read_answer(client)
    assert json.loads(ask().body) == {"AssignedAddr": "10.101.0.9/24", "ServerListenPort": 50228,
                                      "ServerPublicKey": SERVER_KEY}
    assert "127.0.0.2:%d" % gate.ports[number] in ask_root(gate, number)
    connected = wrap(socket.create_connection(("127.0.0.2", gate.ports[number]), 5))
    gate.serve_no_more(late)
    wait.until(lambda: refuses(("127.0.0.2", gate.ports[number])))
    connected.sendall(post("/connect", BODY))
    assert_answer(read_answer(connected), 503, "this address is not served here any more\n")
    assert gate.ask(post("/connect", BODY)).status == 200
    gate.serve_no_more(late)  # twice does no harm
    assert gate.ask(post("/connect", BODY)).status == 200


def ask_root(gate, number):
    with wrap(socket.create_connection(("127.0.0.2", gate.ports[number]), 5)) as client:
        client.sendall(head("GET", "/"))
        return read_answer(client).body


def refuses(address):
    try:
        socket.create_connection(address, 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in line just before the end
    return False


# The checks and their order. Each request is wrong in more than one way.

BIG_FIELD = "X: " + "x" * 9000
BIG_BODY = b"x" * 5000


@pytest.mark.parametrize("request_bytes, status, body", [
    (head("GET", "/nowhere", BIG_FIELD), 431, "request headers too large\n"),
    (head("GET", "/nowhere", "Content-Length: 9999"), 404, "not found\n"),
    (head("POST", "/connect", "Content-Length: 9999", bearer="x"), 403, OUTSIDE_TEXT),
    (head("DELETE", "/connect", "Content-Length: 9999", bearer="x"), 403, OUTSIDE_TEXT),
    (head("GET", "/version"), 403, OUTSIDE_TEXT),
])
def test_inside_a_tunnel_the_checks_come_in_the_contracts_order(
        make_gate, request_bytes, status, body):
    gate = make_gate(endpoints=[Endpoint(), Endpoint("127.0.0.2", "127.10.0.0", 16)])
    assert_answer(gate.ask(request_bytes, source=INSIDE), status, body)
    assert gate.ask(head("GET", "/"), source=INSIDE).status == 200
    assert gate.ask(head("GET", "/healthz"), source=INSIDE).status == 200


@pytest.mark.parametrize("request_bytes, status, body", [
    (head("GET", "/connect", "Content-Length: 9999", bearer="x"), 405, "method not allowed\n"),
    (head("POST", "/", "Content-Length: 9999"), 405, "method not allowed\n"),
    (head("PUT", "/version", bearer="x"), 405, "method not allowed\n"),
    (head("POST", "/connect", "Content-Length: 9999", bearer="x"), 401, "unauthorized\n"),
    (head("POST", "/relinquish", bearer=None), 401, "unauthorized\n"),
    (post("/connect", BODY, bearer=harness.PASSWORD.upper()), 401, "unauthorized\n"),
    (post("/connect", BODY).replace(b"Bearer ", b"bearer "), 401, "unauthorized\n"),
    (post("/connect", BIG_BODY), 413, "request body too large\n"),
    (post("/connect-ipip", BIG_BODY), 413, "request body too large\n"),
    (head("GET", "/", "Content-Length: 4097") + b"x" * 4097, 413, "request body too large\n"),
    (head("POST", "/relinquish", "Transfer-Encoding: chunked") + chunked(BIG_BODY), 413,
     "request body too large\n"),
    (head("POST", "/connect", "Transfer-Encoding: chunked") + chunked(*[b"x" * 100] * 41), 413,
     "request body too large\n"),
    (post("/connect", b""), 400, "failed to parse request body\n"),
    (post("/connect", b"[]"), 400, "failed to parse request body\n"),
    (post("/connect", b'{"PeerPublicKey":1}'), 400, "failed to parse request body\n"),
    (post("/disconnect", b'{"PeerPublicKey":"AQEB'), 400, "failed to parse request body\n"),
    (post("/connect", b"{}"), 400, "invalid peer public key\n"),
    (post("/connect", b'{"PeerPublicKey":"AQEB"}'), 400, "invalid peer public key\n"),
    (post("/connect", b'{"PeerPublicKey":"%s"}' % SERVER_KEY.encode()), 400,
     "invalid peer public key\n"),
    (post("/disconnect", b'{"PeerPublicKey":null}'), 400, "invalid peer public key\n"),
])
def test_the_checks_come_in_the_contracts_order(gate, request_bytes, status, body):
    answer = gate.ask(request_bytes)
    assert_answer(answer, status, body)
    assert ("Allow" in answer.headers) == (status == 405)
    assert gate.request_count() == 0


def test_a_client_that_is_not_ipv4_gets_no_ipip_tunnel(make_gate):
    gate = make_gate(endpoints=[Endpoint(family=socket.AF_INET6)])
    gate.answer_all()
    assert_answer(gate.ask(post("/connect-ipip")), 400, "ipv4 client address required\n")
    assert_answer(gate.ask(post("/disconnect-ipip")), 400, "ipv4 client address required\n")
    assert gate.ask(head("GET", "/")).body.startswith("vprox ok. received [::1]:")


def test_a_refusal_at_the_end_of_the_head_does_not_wait_for_the_body(gate):
    for request in (head("POST", "/nowhere", "Content-Length: 100"),
                    head("POST", "/connect", "Content-Length: 5000")):
        assert gate.ask(request).status in (404, 413)  # for the body there would be none
    assert gate.ask(head("POST", "/connect", "Content-Length: 100", bearer="x")).status == 401


@pytest.mark.parametrize("path", ["/", "/healthz"])
def test_head_is_answered_as_get_without_the_body(gate, path):
    """The body of / names the port of the client: those that the kernel chooses have five digits."""
    got, answer = gate.ask(head("GET", path)), gate.ask(head("HEAD", path))
    assert answer.status == 200 and answer.body == ""
    for name in "Content-Type", "Content-Length", "Connection":
        assert answer.headers[name] == got.headers[name]


def test_head_is_a_wrong_method_elsewhere_and_is_answered_without_a_body(gate):
    answer = gate.ask(head("HEAD", "/version", bearer="x"))
    assert answer.status == 405 and answer.headers["Allow"] == "GET" and answer.body == ""


def test_a_wrong_method_is_told_that_head_is_right_where_it_is(gate):
    assert gate.ask(head("PUT", "/healthz")).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("request_bytes", [
    head("POST", "/connect", "Content-Length: 2", "Content-Length: 3") + b"{}x",
    head("POST", "/connect", "Content-Length: 2", "Content-Length: 2") + b"{}",
    head("POST", "/connect", "Content-Length: 2, 2") + b"{}",
    head("POST", "/connect", "Content-Length: +2") + b"{}",
    head("POST", "/connect", "Content-Length: 2", "Transfer-Encoding: chunked") + chunked(b"{}"),
    head("POST", "/connect", "Transfer-Encoding: chunked", "Content-Length: 2") + chunked(b"{}"),
    head("POST", "/connect", "Transfer-Encoding: gzip, chunked") + chunked(b"{}"),
    head("POST", "/connect", "Transfer-Encoding: identity") + b"{}",
    head("POST", "/connect", "Transfer-Encoding : chunked") + chunked(b"{}"),
    head("POST", "/connect", "Transfer-Encoding: chunked") + b"2\n{}\n0\n\n",
    head("POST", "/connect", "Transfer-Encoding: chunked") + b"0x2\r\n{}\r\n0\r\n\r\n",
    head("POST", "/connect", "X: a\rb"),
    head("POST", "/connect", "X: a\nContent-Length: 2"),
    head("POST", "/connect", "X: a", " folded"),
    head("POST", "/connect", "X: a\x00b"),
    head("GET", "/", host=False),
    head("GET", "/", "Host: another"),
    head("GET", "/", "Authorization: Bearer another"),
    head("GET", "/").replace(b"\r\n", b"\n"),
    b"\r\n" + head("GET", "/"),
    b"GET / HTTP/2.0\r\nHost: vprox\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /\r\n\r\n",
    b"CONNECT vprox:443 HTTP/1.1\r\nHost: vprox:443\r\n\r\n",
])
def test_what_two_servers_could_read_differently_is_refused(gate, request_bytes):
    assert_answer(gate.ask(request_bytes), 400, "bad request\n")
    assert gate.request_count() == 0


def test_a_second_request_on_a_connection_is_not_served(gate):
    with gate.tls() as client:
        client.sendall(head("GET", "/healthz") + post("/connect", BODY))
        data, clean_end = read_to_end(client)
    assert data.count(b"HTTP/1.1") == 1 and clean_end
    assert gate.request_count() == 0


# What the clients in the field send.


def test_go_sends_chunks_without_a_length_or_a_type(gate):
    request = head("POST", "/connect", "User-Agent: Go-http-client/1.1",
                   "Transfer-Encoding: chunked", "Accept-Encoding: gzip") + chunked(BODY, b"\n")
    assert gate.ask(request).status == 200


def test_a_request_may_come_byte_by_byte(gate):
    request = head("POST", "/connect", "Transfer-Encoding: chunked") + chunked(BODY[:7], BODY[7:])
    pieces = [request[i:i + 1] for i in range(len(request))]
    assert gate.ask(*pieces).status == 200


def test_http_1_0_and_absolute_targets_are_understood(gate):
    assert gate.ask(b"GET /healthz HTTP/1.0\r\n\r\n").body == "ok\n"
    assert gate.ask(head("GET", "https://vprox/healthz")).body == "ok\n"


def test_curl_of_every_kind_gets_its_answer(gate):
    bearer = ("-H", f"Authorization: Bearer {harness.PASSWORD}")
    for options in ((), ("--http1.0",), ("--http2",), ("--tls-max", "1.2"), ("--no-alpn",)):
        result = gate.curl(*options, path="/healthz")
        assert result.returncode == 0 and result.stdout.endswith("\n\nok\n"), result.stderr
    result = gate.curl(*bearer, "-d", BODY.decode(), path="/connect")
    assert result.returncode == 0 and "AssignedAddr" in result.stdout
    result = gate.curl(*bearer, "-X", "POST", path="/connect-ipip")
    assert result.returncode == 0 and "AssignedAddr" in result.stdout
    result = gate.curl(*bearer, "-H", "Transfer-Encoding: chunked", "-d", BODY.decode(),
                       path="/connect")
    assert result.returncode == 0 and "AssignedAddr" in result.stdout
    assert gate.curl("-I").stdout.startswith("HTTP/1.1 200 ")


def test_openssl_s_client_that_ends_its_input_gets_its_answer(gate):
    result = subprocess.run(
        ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{gate.ports[0]}"],
        input=head("GET", "/healthz"), capture_output=True, timeout=30)
    assert result.stdout.endswith(b"\r\n\r\nok\n")


def test_continue_is_sent_only_when_the_body_is_wanted(gate):
    expecting = ("Expect: 100-continue", f"Content-Length: {len(BODY)}")
    with gate.tls() as client:
        client.sendall(head("POST", "/connect", *expecting))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert read_answer(client).status == 200
    for request, status in (
            (head("POST", "/nowhere", *expecting), 404),
            (head("POST", "/connect", *expecting, bearer="x"), 401),
            (head("POST", "/connect", "Expect: 100-continue", "Content-Length: 4097"), 413),
            (head("POST", "/connect", *expecting) + BODY, 200)):
        answer = gate.ask(request)
        assert answer.status == status and answer.interim == []
    result = gate.curl("-H", f"Authorization: Bearer {harness.PASSWORD}", "-H",
                       "Expect: 100-continue", "-d", BODY.decode(), path="/connect")
    assert "100 Continue" in result.stdout and "AssignedAddr" in result.stdout


# TLS.


def test_alpn_is_http_1_1_or_none(gate):
    for offer, expected in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"),
                            (["http/1.0"], None), (None, None)):
        with gate.tls(alpn=offer) as client:
            assert client.selected_alpn_protocol() == expected
            client.sendall(head("GET", "/healthz"))
            assert read_answer(client).status == 200
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        gate.tls(alpn=["h2"])


def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(gate):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with gate.tls(version=version) as client:
            assert client.version() == version.name.replace("_", ".")
            assert client.compression() is None
            client.sendall(head("GET", "/healthz"))
            assert read_answer(client).status == 200
    result = subprocess.run(
        ["openssl", "s_client", "-tls1_1", "-cipher", "ALL@SECLEVEL=0", "-connect",
         f"127.0.0.1:{gate.ports[0]}"], input=b"", capture_output=True, timeout=30)
    assert b"protocol version" in result.stderr


def test_only_key_exchanges_that_cost_little_are_done(gate):
    for group, good in (("X25519", True), ("P-256", True), ("ffdhe8192:X25519", True),
                        ("ffdhe2048", False), ("ffdhe8192", False), ("P-521", False)):
        result = subprocess.run(
            ["openssl", "s_client", "-groups", group, "-connect",
             f"127.0.0.1:{gate.ports[0]}"], input=b"", capture_output=True, timeout=30)
        assert (b"Server Temp Key" in result.stdout) == good
        assert b"Server Temp Key: DH" not in result.stdout


def test_nothing_can_be_resumed_or_renegotiated(gate):
    address = f"127.0.0.1:{gate.ports[0]}"
    for version in ("-tls1_2", "-tls1_3"):
        result = subprocess.run(["openssl", "s_client", version, "-reconnect", "-connect", address],
                                input=b"", capture_output=True, timeout=20)
        assert b"Reused, " not in result.stdout and b"session ticket" not in result.stdout
    result = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", address],
                            input=b"R\n", capture_output=True, timeout=20)
    assert b"no renegotiation" in result.stderr


def test_an_operators_rsa_certificate_is_sent_with_its_chain(certificate, tmp_path):
    own, key = harness.make_certificate(tmp_path, harness.RSA)
    gate = harness.Gate(own + certificate[0], key, tmp_path)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with gate.tls(version=version) as client:
            client.sendall(head("GET", "/healthz"))
            assert read_answer(client).status == 200
    result = subprocess.run(
        ["openssl", "s_client", "-showcerts", "-connect", f"127.0.0.1:{gate.ports[0]}"],
        input=b"", capture_output=True, timeout=30)
    assert own in result.stdout and certificate[0] in result.stdout
    assert gate.stop()


def test_plain_http_gets_no_answer(gate):
    with gate.connect() as client:
        client.sendall(head("GET", "/"))
        try:
            assert client.recv(1000) == b""
        except ConnectionResetError:
            pass
    with gate.connect() as client:
        client.sendall(b"\x16\x03\x01\x00\x05GET / HTTP/1.1\r\n\r\n")
        try:
            assert b"HTTP" not in client.recv(1000)
        except ConnectionResetError:
            pass
    assert gate.ask(head("GET", "/healthz")).status == 200


# Clients that do not behave.


def test_an_early_answer_reaches_a_client_that_goes_on_sending(gate):
    for request, status in ((head("POST", "/connect", "Content-Length: 1000000"), 413),
                            (head("POST", "/connect", "Content-Length: 1000000", bearer="x"), 401),
                            (head("GET", "/", BIG_FIELD), 431)):
        with gate.tls() as client:
            client.sendall(request)
            for _ in range(16):  # more than the sockets hold, had the gate stopped reading
                client.sendall(b"x" * 65536)
                time.sleep(0.02)
            assert read_answer(client).status == status


def test_who_does_not_close_is_closed_after_a_second(gate):
    with gate.tls() as client:
        client.sendall(head("GET", "/healthz"))
        assert read_answer(client).status == 200
        start = time.monotonic()
        plain = socket.socket(fileno=os.dup(client.fileno()))
        plain.settimeout(5)
        assert plain.recv(100) == b""
        assert 0.8 < time.monotonic() - start < 4
        plain.close()


def test_slow_clients_are_dropped_ten_seconds_after_they_came(make_gate):
    """Silence, a byte of the handshake a second, a byte of the request a second."""
    gate = make_gate()
    start = time.monotonic()
    silent, dripping_tls, dripping_http = gate.connect(), gate.connect(), gate.tls()
    served = gate.tls()
    request = head("GET", "/healthz", "X: 1234567890")
    hello = client_hello()
    ends = {}
    clients = {"silent": silent, "tls": dripping_tls, "http": dripping_http}
    served.sendall(request[:-1])
    for second in range(16):
        for name, client in clients.items():
            if name in ends:
                continue
            try:
                if name == "tls":
                    client.send(hello[second:second + 1])
                elif name == "http":
                    client.send(request[second:second + 1])
            except OSError:
                pass
            client.settimeout(0.05)
            try:
                if client.recv(100) == b"":
                    ends[name] = time.monotonic() - start
            except (TimeoutError, ssl.SSLWantReadError):
                pass
            except OSError:
                ends[name] = time.monotonic() - start
        if second == 8:
            served.sendall(request[-1:])
            assert read_answer(served).status == 200
        if len(ends) == len(clients):
            break
        time.sleep(max(0, start + second + 0.9 - time.monotonic()))
    assert all(9 < ends[name] < 15 for name in clients), ends


def test_a_handshake_that_waits_for_its_client_ends_after_five_seconds(gate):
    with gate.connect() as client:
        client.settimeout(10)
        client.sendall(client_hello())
        start = time.monotonic()
        while client.recv(1000):
            pass
        assert 4.5 < time.monotonic() - start < 9


def in_crumbs(message, minor_version=1):
    """A handshake message, each byte in a TLS record of its own."""
    header = bytes([0x16, 3, minor_version, 0, 1])
    return b"".join(header + message[i:i + 1] for i in range(len(message)))


def test_a_long_handshake_ends_early_and_keeps_nobody_waiting(gate):
    hello = b"\x01" + (131000).to_bytes(3, "big") + bytes(131000)  # as long as OpenSSL takes it
    crumbs = in_crumbs(hello)
    clients = [gate.connect() for _ in range(20)]
    senders = [threading.Thread(target=send_all_that_goes, args=(client, crumbs))
               for client in clients]
    for sender in senders:
        sender.start()
    time.sleep(0.3)
    start = time.monotonic()
    assert gate.ask(head("GET", "/healthz")).status == 200
    for sender in senders:
        sender.join()
    assert time.monotonic() - start < 5
    for client in clients:
        client.close()
    assert gate.log().count("its first message is too large") == 20


def test_a_client_that_says_more_than_a_handshake_is_cut_off(gate):
    """After its first message, which is taken: the next one of TLS 1.2 may be of 2 KB."""
    with gate.connect() as client:
        client.sendall(client_hello(ssl.TLSVersion.TLSv1_2))
        assert client.recv(1) == b"\x16"
        send_all_that_goes(client, in_crumbs(b"\x10\x00\x07\xd0" + bytes(2000), 3))
        try:
            while client.recv(1000):
                pass
        except ConnectionResetError:
            pass
    assert "excessive message size" in gate.log()
    assert gate.ask(head("GET", "/healthz")).status == 200


def send_all_that_goes(client, data):
    try:
        client.sendall(data)
    except OSError:
        pass


def test_a_handshake_may_come_in_crumbs(gate):
    with gate.connect() as client:
        client.sendall(in_crumbs(client_hello()[5:]))
        assert client.recv(1) == b"\x16"


def test_a_client_that_goes_away_while_the_broker_works_harms_nobody(gate):
    gate.answer_none()
    clients = [gate.tls() for _ in range(20)]
    for client in clients:
        client.sendall(post("/connect-ipip"))
    requests = gate.requests(20)
    assert len({request.id for request in requests}) == 20
    for client in clients[::2]:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
    for i, request in enumerate(reversed(requests)):
        gate.answer(request, address=f"10.100.1.{i}")
    for client in clients[1::2]:
        assert read_answer(client).status == 200
        client.close()
    gate.broker.send(harness.REPLY.pack(harness.VERSION, harness.ANSWER, harness.OK, 4711, 1, 0))
    gate.answer_all()
    assert gate.ask(post("/connect-ipip")).status == 200
    assert "request 4711" in gate.log()


def test_answers_find_their_clients_in_any_order(gate):
    gate.answer_none()
    clients = []
    for i in range(10):
        clients.append(gate.tls(source=f"127.0.1.{i + 1}"))
        clients[-1].sendall(post("/connect-ipip"))
    for request in reversed(gate.requests(10)):
        gate.answer(request, address=f"10.100.0.{100 + (request.source & 0xff)}")
    for i, client in enumerate(clients):
        assert f"10.100.0.{101 + i}/16" in read_answer(client).body
        client.close()


# Crowds.


def test_more_requests_at_once_than_the_broker_is_asked_at_once_are_all_answered(gate):
    gate.answer_none()
    # No more than it takes: whoever is not answered 10 s after he came is hung up on.
    clients = [gate.tls() for _ in range(140)]
    for client in clients:
        client.sendall(post("/connect-ipip"))
    waiting = gate.requests(128)
    time.sleep(0.2)
    assert gate.request_count() == 128  # the answers to more would not fit into the socket
    gate.answer_all()
    for request in waiting:
        gate.answer(request)
    for client in clients:
        assert read_answer(client).status == 200
        client.close()
    assert gate.request_count() == 140


def test_2000_silent_connections_do_not_keep_others_from_being_served(make_gate):
    gate = make_gate(max_connections=1000, max_per_source=600)
    gate.answer_all()
    assert gate.ask(post("/connect-ipip")).status == 200
    memory_before = gate.memory()
    crowd = []
    for i in range(2000):
        crowd.append(gate.connect(source=f"127.1.0.{i % 40 + 1}"))
        if i % 100 == 0:
            start = time.monotonic()
            assert gate.ask(post("/connect-ipip"), source="127.0.0.9").status == 200
            assert time.monotonic() - start < 5
    assert SANITIZER or gate.memory() - memory_before < 1000
    assert "the oldest has to go" in gate.log()
    for client in crowd:
        client.close()


def test_a_source_over_its_limit_is_refused_and_others_are_served(make_gate):
    gate = make_gate(max_per_source=10)
    crowd = [gate.connect(source="127.0.0.1") for _ in range(10)]
    with gate.connect(source="127.0.0.1") as one_too_many:
        assert one_too_many.recv(1) == b""
    assert gate.ask(head("GET", "/healthz"), source="127.0.0.2").status == 200
    crowd.pop().close()
    time.sleep(0.1)
    assert gate.ask(head("GET", "/healthz"), source="127.0.0.1").status == 200
    for client in crowd:
        client.close()


def test_the_broker_is_told_of_refusals_those_that_are_alike_in_one_message(make_gate):
    gate = make_gate(max_per_source=3)
    for _ in range(2):
        assert gate.ask(head("GET", "/version", bearer="x"), source="127.0.0.2").status == 401
    crowd = [gate.connect(source="127.0.0.3") for _ in range(5)]
    wait.until(lambda: sum(told[4] for told in gate.refusals) == 4, 10, "it is told")
    ours = harness.ipv4("127.0.0.1")
    told = {(source, bind, reason): 0 for source, bind, _, reason, _ in gate.refusals}
    assert set(told) == {(harness.ipv4("127.0.0.2"), ours, 1), (harness.ipv4("127.0.0.3"), ours, 2)}
    assert len(gate.refusals) <= 4
    for client in crowd:
        client.close()


def test_requests_in_flight_survive_a_crowd(make_gate):
    gate = make_gate(max_connections=20)
    client = gate.tls()
    client.sendall(post("/connect-ipip"))
    request, = gate.requests(1)
    crowd = [gate.connect() for _ in range(100)]
    gate.answer(request)
    assert read_answer(client).status == 200
    for other in crowd + [client]:
        other.close()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root")
def test_the_connections_fit_the_descriptors_there_are(make_gate):
    gate = make_gate(max_connections=400, drop=[
        "setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource",
        "bash", "-c", 'ulimit -n 100; exec "$0"'])
    gate.answer_all()
    crowd = [gate.connect() for _ in range(200)]
    assert gate.ask(post("/connect-ipip")).status == 200
    assert "62 connections at most, not 400" in gate.log()
    assert "cannot accept" not in gate.log()
    for client in crowd:
        client.close()


def guess(gate, n, source="127.0.0.1"):
    """So many wrong passwords at once; what is answered."""
    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: gate.ask(post("/connect", BODY, bearer="x"), source=source).status,
                             range(n)))


# Life and death.


def test_a_drain_ends_an_idle_gate_at_once(make_gate):
    gate = make_gate()
    silent, idle = gate.connect(), gate.tls()
    gate.ask(head("GET", "/healthz"))
    start = time.monotonic()
    gate.drain()
    assert gate.wait(9) == 0 and time.monotonic() - start < 8
    assert silent.recv(1) == b"" and read_to_end(idle) == (b"", True)
    with pytest.raises(ConnectionRefusedError):
        gate.connect()


def test_a_drain_lets_what_is_in_flight_finish(make_gate):
    gate = make_gate()
    asking, post_begun, get_begun = gate.tls(), gate.tls(), gate.tls()
    asking.sendall(post("/connect-ipip"))
    request, = gate.requests(1)
    post_begun.sendall(post("/connect", BODY)[:-1])
    get_begun.sendall(head("GET", "/healthz")[:-1])
    time.sleep(0.1)
    gate.drain()
    time.sleep(0.1)
    post_begun.sendall(BODY[-1:])
    assert_answer(read_answer(post_begun), 503, "server shutting down\n")
    get_begun.sendall(b"\n")
    assert read_answer(get_begun).status == 200
    gate.answer(request)
    assert read_answer(asking).status == 200
    for client in (asking, post_begun, get_begun):
        client.close()
    assert gate.wait(9) == 0
    assert gate.request_count() == 1


def test_a_drain_takes_ten_seconds_at_the_most(make_gate):
    gate = make_gate()
    client = gate.tls()
    client.sendall(post("/connect-ipip"))
    gate.requests(1)
    time.sleep(0.5)
    start = time.monotonic()
    gate.drain()
    assert gate.wait(20) == 0
    assert 9 < time.monotonic() - start < 15


def test_without_a_broker_there_is_no_gate(make_gate):
    gate = make_gate()
    client = gate.tls()
    client.sendall(post("/connect-ipip"))
    gate.requests(1)
    gate.hang_up()
    assert gate.wait(15) == 1
    assert "the broker is gone" in gate.log()


def test_a_broker_that_ends_while_the_gate_drains_is_no_error(make_gate):
    gate = make_gate()
    client = gate.tls()
    client.sendall(post("/connect-ipip"))
    gate.requests(1)
    gate.drain()
    gate.hang_up()
    assert gate.wait(15) == 0
    assert " error gate " not in gate.log()


def test_a_packet_that_is_no_message_ends_the_gate(make_gate):
    gate = make_gate()
    gate.ask(head("GET", "/"))
    gate.broker.send(b"x" * 23)
    assert gate.wait(15) == 1


def test_signals_meant_for_the_server_do_not_cut_off_a_gate(gate):
    for signal in (1, 2, 15):
        gate.ask(head("GET", "/healthz"))
        os.kill(gate.pid, signal)
    assert gate.ask(head("GET", "/healthz")).status == 200


# What it may not do, and what it may not say.


def test_the_gate_has_nothing_to_lose(gate):
    gate.ask(head("GET", "/"))
    status = gate.status()
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0
    if os.geteuid() == 0:
        assert status["Uid"].split() == status["Gid"].split() == [str(harness.NOBODY)] * 4
        assert status["Groups"].strip() == "" and int(status["CapBnd"], 16) == 0
    with open(f"/proc/{gate.pid}/limits") as file:
        limits = file.read()
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert not any("memfd" in name for name in open_files(gate.pid).values())
    assert "gate 7: serves" in gate.log()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root")
def test_a_gate_that_cannot_change_its_user_must_have_no_capability(make_gate):
    harmless = make_gate(drop=["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"])
    assert harmless.ask(head("GET", "/healthz")).status == 200
    assert harmless.status()["Uid"].split()[0] == "12345"
    assert "no right to change the user" in harmless.log()
    dangerous = make_gate(
        drop=["setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid"])
    assert dangerous.wait(15) == 1
    assert "cannot change user and group" in dangerous.log()


def test_no_secret_is_ever_logged(gate, certificate):
    gate.ask(post("/connect", BODY))
    gate.ask(post("/connect", BODY, bearer="not the password"))
    gate.ask(head("GET", "/", f"Authorization: Bearer {harness.PASSWORD}"))
    gate.ask(post("/connect", b"not json " + harness.PASSWORD.encode()))
    log = gate.log()
    assert "no or wrong bearer" in log
    for secret in (harness.PASSWORD, "not the password", KEY, "PRIVATE"):
        assert secret not in log


def test_failed_logins_do_not_flood_the_log(make_gate):
    gate = make_gate(log_level=2)
    assert guess(gate, 40) == [401] * 40
    time.sleep(1.1)
    gate.ask(post("/connect", BODY, bearer="x"))
    lines = [line for line in gate.log().splitlines() if "wrong bearer" in line]
    # The last of them tells of the others, or one before, where 40 take longer than a second.
    assert 2 <= len(lines) <= 20 and any("more like it)" in line for line in lines)
    assert sum(int(n) for n in re.findall(r"and (\d+) more", gate.log())) + len(lines) == 41


def test_one_source_with_many_failed_logins_does_not_hide_those_of_others(make_gate):
    """Of several: one may have its counter in common with the crowd, by chance."""
    gate = make_gate(log_level=2)
    crowd, others = ([gate.tls(source=source) for source in sources]
                     for sources in (["127.0.0.1"] * 40, ["127.0.0.2", "127.0.0.3", "127.0.0.4"]))
    for client in crowd + others:
        client.sendall(post("/connect", BODY, bearer="x"))
    for client in crowd + others:
        assert read_answer(client).status == 401
        client.close()
    told = re.findall(r"(127\.0\.0\.\d)\S*: no or wrong bearer", gate.log())
    assert told.count("127.0.0.1") < 40, "some are hidden"
    assert set(told) - {"127.0.0.1"}


@pytest.mark.parametrize("option, text", [
    ({"max_connections": 0}, "allows no connections"),
])
def test_a_configuration_that_makes_no_sense_is_refused(make_gate, option, text):
    gate = make_gate(**option)
    assert gate.wait(15) == 1 and text in gate.log()


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused(
        certificate, tmp_path):
    other = harness.make_certificate(tmp_path)
    bad_chain = certificate[0] + b"-----BEGIN CERTIFICATE-----\nx"
    for pair, text in (((certificate[0], other[1]), "TLS does not work with this certificate"),
                       ((b"", certificate[1]), "cannot use the certificate"),
                       ((bad_chain, certificate[1]), "cannot use the certificate")):
        gate = harness.Gate(*pair, tmp_path)
        assert gate.wait(15) == 1 and text in gate.log()
        gate.stop()


@pytest.mark.skipif(SANITIZER, reason="freed memory is kept back")
def test_memory_does_not_grow_with_requests(make_gate):
    gate = make_gate()
    gate.answer_all()

    def some_requests():
        for i in range(150):
            gate.ask(post("/connect", BODY))
            gate.ask(post("/connect", b"[" * 4000))
            gate.ask(head("GET", "/", BIG_FIELD))
            with gate.connect() as client:
                client.sendall(client_hello()[:-1])

    some_requests()
    before = gate.memory()
    some_requests()
    assert gate.memory() - before < 200


def test_a_gate_says_that_it_is_ready_once_it_is_confined(gate):
    assert gate.is_ready.wait(20)
    assert gate.status()["Seccomp"] == "2"
    assert gate.status()["CapEff"] == "0000000000000000"


def test_other_passwords_hold_from_the_next_request_on_and_close_no_connection(gate):
    def status(bearer):
        return gate.ask(post("/connect", BODY, bearer=bearer)).status
    gate.answer_all()
    with gate.tls() as client:
        gate.change(password="the next", previous=harness.PASSWORD)
        assert status("the next") == status(harness.PASSWORD) == 200
        gate.change(password="the next")
        assert status(harness.PASSWORD) == 401
        assert status("the next") == 200
        client.sendall(post("/connect", BODY, bearer="the next"))
        assert read_answer(client).status == 200
    gate.change()
    assert status("the next") == 401 and status(harness.PASSWORD) == 200
