"""docs/api.md, "Requests": every row of the tables, and what the Go clients send."""

import base64
import json
import re
import socket
import struct
import time

import pytest

from lab.api import Connection, PASSWORD, request_bytes, tls_context
from lab.tunnels import random_key
from lib import wait

MAX_HEADERS = 8 << 10
MAX_BODY = 4 << 10
SUCCESS = {"Status": "success"}
DATA_SEGMENTS_IN = 152  # of struct tcp_info, in bytes: include/uapi/linux/tcp.h


@pytest.fixture(name="api")
def fixture_api(shared_host, server, client):
    return shared_host.api(client)


def error(response, status, text):
    """Whether it is this error: one line of plain text, with its newline."""
    return (response.status, response.text) == (status, text + "\n") and \
        response.headers["content-type"].startswith("text/plain")


# What each request answers

@pytest.mark.sanitize
def test_get_root_says_who_asked_whom(api, client, shared_host):
    with Connection(client, shared_host.address) as connection:
        connection.send(request_bytes("GET", "/", password=None))
        response = connection.receive()
        assert response.status == 200
        assert response.text == (f"vprox ok. received {client.address}:{connection.port} -> "
                                 f"{shared_host.address}:443\n")
        assert response.headers["content-type"].startswith("text/plain")


def test_get_healthz_says_ok(api):
    response = api.get("/healthz", password=None)
    assert (response.status, response.text) == (200, "ok\n")


def test_name_servers_that_are_announced_come_with_each_tunnel(host, client):
    host.start("--announce-dns 9.9.9.9 --announce-dns 149.112.112.112")
    api = host.api(client)
    for response in api.connect(random_key()), api.connect_ipip():
        assert response.json["DNS"] == ["9.9.9.9", "149.112.112.112"]
    status, said = host.run("server --ip 192.0.2.1 --wg-block 10.9.0.0/16 --announce-dns 127.0.0.53")
    assert status == 2 and "--announce-dns 127.0.0.53: no name server" in said


@pytest.mark.plane
@pytest.mark.sanitize
def test_connect_answers_address_key_and_port(api, shared_host):
    key = random_key()
    answer = api.connect(key).json
    assert sorted(answer) == ["AssignedAddr", "ServerListenPort", "ServerPublicKey"]
    assert re.fullmatch(r"10\.100\.\d+\.\d+/16", answer["AssignedAddr"])
    assert answer["ServerListenPort"] == 50227
    assert answer["ServerPublicKey"] == shared_host.ns.run("wg show vprox0 public-key").strip()
    assert shared_host.wireguard_peers()[key] == answer["AssignedAddr"].replace("/16", "/32")
    api.disconnect(key)


@pytest.mark.sanitize
@pytest.mark.parametrize("body", [None, "", "{}", "no JSON {", b"\0\xff" * 100])
def test_connect_ipip_answers_an_address_whatever_the_body(api, shared_host, body):
    answer = api.post("/connect-ipip", body).json
    assert sorted(answer) == ["AssignedAddr"]
    inner, length = answer["AssignedAddr"].split("/")
    assert length == "16"
    assert shared_host.holders()[inner] == api.node.address
    assert api.disconnect_ipip().json == SUCCESS


@pytest.mark.plane
@pytest.mark.sanitize
def test_disconnect_removes_the_peer(api, shared_host):
    key = random_key()
    api.connect(key)
    response = api.disconnect(key)
    assert (response.status, response.json) == (200, SUCCESS)
    assert key not in shared_host.wireguard_peers()


def test_disconnect_of_an_unknown_peer_succeeds(api):
    response = api.disconnect(random_key())
    assert (response.status, response.json) == (200, SUCCESS)


@pytest.mark.plane
@pytest.mark.sanitize
def test_disconnect_ipip_removes_the_peer_of_the_requests_source(api, shared_host, other_client):
    inner = api.connect_ipip().inner
    shared_host.api(other_client).connect_ipip()
    response = api.disconnect_ipip()
    assert (response.status, response.json) == (200, SUCCESS)
    holders = shared_host.holders()
    assert inner not in holders
    assert other_client.address in holders.values()
    shared_host.api(other_client).disconnect_ipip()


def test_disconnect_ipip_of_an_unknown_peer_succeeds(api):
    response = api.disconnect_ipip()
    assert (response.status, response.json) == (200, SUCCESS)


def test_get_version_says_what_was_built(api):
    answer = api.get("/version").json
    assert sorted(answer) == ["git_commit", "git_tag"]
    assert answer["git_commit"] == "unknown" or re.fullmatch("[0-9a-f]{40}", answer["git_commit"])


# The bearer

NEED_PASSWORD = [("POST", "/connect"), ("POST", "/connect-ipip"), ("POST", "/disconnect"),
                 ("POST", "/disconnect-ipip"), ("POST", "/relinquish"), ("GET", "/version")]


@pytest.mark.parametrize("method, path", NEED_PASSWORD)
def test_every_post_and_version_need_the_password(api, method, path):
    assert error(api.request(method, path, "{}", password=None), 401, "unauthorized")
    assert error(api.request(method, path, "{}", password="wrong"), 401, "unauthorized")


@pytest.mark.parametrize("value", [
    "", "Bearer", "Bearer ", f"bearer {PASSWORD}", f"BEARER {PASSWORD}", f"Basic {PASSWORD}",
    PASSWORD, f"Bearer {PASSWORD}x", f"Bearer {PASSWORD[:-1]}", f"Bearer  {PASSWORD}",
    f"Bearer {PASSWORD.upper()}"])
def test_only_the_exact_bearer_is_let_in(api, value):
    response = api.get("/version", password=None, headers={"Authorization": value})
    assert error(response, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/", "/healthz"])
@pytest.mark.parametrize("password", [None, "wrong"])
def test_root_and_healthz_need_no_password(api, path, password):
    assert api.get(path, password=password).status == 200


# Every answer

ONE_OF_EACH = [
    ("GET", "/", None, 200), ("GET", "/healthz", None, 200), ("GET", "/version", None, 200),
    ("POST", "/disconnect-ipip", None, 200), ("GET", "/nowhere", None, 404),
    ("GET", "/connect", None, 405), ("POST", "/connect", "[]", 400),
    ("POST", "/connect", "x" * (MAX_BODY + 1), 413),
]


@pytest.mark.parametrize("method, path, body, status", ONE_OF_EACH)
def test_every_answer_has_its_length_and_closes(api, method, path, body, status):
    response = api.request(method, path, body)
    assert response.status == status
    assert response.headers["connection"] == "close"
    assert int(response.headers["content-length"]) == len(response.body) > 0


def test_the_client_may_close_first_for_a_second(client, shared_host, server):
    with Connection(client, shared_host.address) as connection:
        asked = time.monotonic()
        connection.send(request_bytes("GET", "/"))
        connection.receive()
        assert connection.closed_within(8) is not None
    assert time.monotonic() - asked > 0.9


# Errors, and their order

def test_headers_over_8_kib_are_refused(api):
    padding = {"X-Padding": "x" * MAX_HEADERS}
    assert error(api.get("/nowhere", headers=padding), 431, "request headers too large")


def test_headers_just_below_8_kib_are_taken(api):
    assert api.get("/", headers={"X-Padding": "x" * (MAX_HEADERS - 200)}).status == 200


@pytest.mark.parametrize("method, path", [
    ("GET", "/nowhere"), ("POST", "/nowhere"), ("GET", "//"), ("POST", "/connect/"),
    ("GET", "/healthz2"), ("DELETE", "/x"), ("POST", "/CONNECT")])
def test_an_unknown_path_is_not_found_whoever_asks(api, method, path):
    assert error(api.request(method, path, password=None), 404, "not found")


@pytest.mark.parametrize("method, path, allowed", [
    ("POST", "/", "GET"), ("POST", "/healthz", "GET"), ("POST", "/version", "GET"),
    ("GET", "/connect", "POST"), ("PUT", "/connect", "POST"), ("DELETE", "/connect-ipip", "POST"),
    ("GET", "/disconnect", "POST"), ("GET", "/disconnect-ipip", "POST"),
    ("GET", "/relinquish", "POST")])
def test_a_wrong_method_is_told_the_right_one_before_any_password(api, method, path, allowed):
    response = api.request(method, path, password=None)
    assert error(response, 405, "method not allowed")
    assert allowed in re.split(r",\s*", response.headers["allow"])


def test_a_large_body_without_the_password_is_unauthorized(api):
    response = api.post("/connect", "x" * (MAX_BODY + 1), password="wrong")
    assert error(response, 401, "unauthorized")


@pytest.mark.parametrize("path", ["/connect", "/connect-ipip", "/disconnect", "/disconnect-ipip"])
def test_a_body_over_4_kib_is_refused_also_where_it_is_ignored(api, path):
    assert error(api.post(path, "x" * (MAX_BODY + 1)), 413, "request body too large")


def test_a_chunked_body_over_4_kib_is_refused(api):
    chunks = (b"400\r\n" + b"x" * 0x400 + b"\r\n") * 5 + b"0\r\n\r\n"
    response = api.post("/connect", chunks, headers={"Transfer-Encoding": "chunked"})
    assert error(response, 413, "request body too large")


def test_a_body_of_just_4_kib_is_taken(api, shared_host):
    key = random_key()
    body = json.dumps({"PeerPublicKey": key})
    assert api.post("/connect", body + " " * (MAX_BODY - len(body))).status == 200
    api.disconnect(key)


NO_OBJECTS = ["", "[]", '["PeerPublicKey"]', "1", '"text"', "null", "true", "{", '{"PeerPublicKey":',
              '{"PeerPublicKey":5}', "x{}", "\0", "{'PeerPublicKey':''}",
              '{"PeerPublicKey":["a"]}', '{"PeerPublicKey":"\xff"}'.encode("latin-1")]


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/connect", "/disconnect"])
@pytest.mark.parametrize("body", NO_OBJECTS)
def test_a_body_that_is_no_such_object_is_refused(api, path, body):
    response = api.post(path, body)
    assert error(response, 400, "failed to parse request body")


NO_KEYS = {
    "31 bytes": base64.b64encode(bytes(31)).decode(),
    "33 bytes": base64.b64encode(bytes(33)).decode(),
    "empty": "",
    "no base64": "!" * 44,
    "not padded": random_key().rstrip("="),
    "url alphabet": "-_" * 21 + "A=",
    "something behind": random_key() + "x",
}


@pytest.mark.sanitize
@pytest.mark.parametrize("path", ["/connect", "/disconnect"])
@pytest.mark.parametrize("key", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_is_refused(api, path, key):
    assert error(api.post(path, {"PeerPublicKey": key}), 400, "invalid peer public key")


P = 2 ** 255 - 19
# With each of these every private key makes the same secret, zero: RFC 7748, 6.1; cr.yp.to/ecdh.html.
LOW_ORDER = [0, 1, P - 1, P, P + 1,
             int.from_bytes(base64.b64decode("4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA="), "little"),
             int.from_bytes(base64.b64decode("X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc="), "little")]


@pytest.mark.parametrize("path", ["/connect", "/disconnect"])
@pytest.mark.parametrize("high_bit", [0, 1 << 255], ids=["plain", "high bit"])
@pytest.mark.parametrize("number", LOW_ORDER, ids=["0", "1", "p-1", "p", "p+1", "order 8", "other order 8"])
def test_a_key_with_which_no_handshake_can_end_is_refused(client, shared_host, server, path, high_bit, number):
    key = base64.b64encode((number + high_bit).to_bytes(32, "little")).decode()
    said = client.ns.run(
        ["curl", "-sSk", "-w", "%{http_code}", "-H", f"Authorization: Bearer {PASSWORD}",
         "-d", json.dumps({"PeerPublicKey": key}), f"https://{shared_host.address}{path}"])
    assert said == "invalid peer public key\n400"


@pytest.mark.parametrize("path", ["/connect", "/disconnect"])
def test_a_missing_key_is_refused(api, path):
    assert error(api.post(path, {"Other": 1}), 400, "invalid peer public key")


@pytest.mark.plane
def test_the_servers_own_key_is_no_peers(api, shared_host):
    own = shared_host.ns.run("wg show vprox0 public-key").strip()
    assert error(api.connect(own), 400, "invalid peer public key")


def test_refused_requests_leave_nothing_behind(api, shared_host):
    before = shared_host.snapshot()
    for request in [("GET", "/nowhere", None, {}), ("GET", "/connect-ipip", None, {}),
                    ("POST", "/connect-ipip", "{}", {"password": "wrong"}),
                    ("POST", "/connect-ipip", "x" * (MAX_BODY + 1), {}),
                    ("POST", "/connect", {"PeerPublicKey": random_key()}, {"password": None}),
                    ("POST", "/connect", {"PeerPublicKey": "x"}, {}), ("POST", "/connect", "[", {})]:
        method, path, body, more = request
        assert 400 <= api.request(method, path, body, **more).status < 500
    shared_host.assert_same(before)
    # No address was taken either: the next one is the lowest that nobody had.
    first = api.connect(key := random_key()).inner
    second = api.connect(other := random_key()).inner
    assert int(second.split(".")[3]) == int(first.split(".")[3]) + 1
    api.disconnect(key)
    api.disconnect(other)


# What the Go clients send

@pytest.mark.sanitize
def test_a_chunked_body_without_content_type_is_understood(api, shared_host):
    key = random_key()
    text = json.dumps({"PeerPublicKey": key}).encode()
    chunks = b"%x\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\n\r\n" % (10, text[:10], len(text) - 10, text[10:])
    assert api.post("/connect", chunks, headers={"Transfer-Encoding": "chunked"}).status == 200
    assert key in shared_host.wireguard_peers()
    api.disconnect(key)


@pytest.mark.parametrize("name", ["peerpublickey", "PEERPUBLICKEY", "pEeRpUbLiCkEy"])
def test_field_names_may_be_in_any_case(api, shared_host, name):
    key = random_key()
    assert api.post("/connect", {name: key}).status == 200
    assert key in shared_host.wireguard_peers()
    api.disconnect(key)


@pytest.mark.parametrize("names", [("PeerPublicKey", "PeerPublicKey"),
                                   ("PeerPublicKey", "peerpublickey"),
                                   ("peerpublickey", "PeerPublicKey")])
def test_the_last_of_duplicate_fields_counts(api, shared_host, names):
    first, last = random_key(), random_key()
    body = f'{{"{names[0]}":"{first}","Else":{{"a":[1]}},"{names[1]}":"{last}"}}'
    assert api.post("/connect", body).status == 200
    peers = shared_host.wireguard_peers()
    assert last in peers and first not in peers
    api.disconnect(last)


def loose_forms():
    raw = bytes(range(32))
    text = base64.b64encode(raw).decode()
    return text, {"line breaks": text[:10] + "\r\n" + text[10:30] + "\n" + text[30:] + "\r\n",
                  "left-over bits": text[:-2] + chr(ord(text[-2]) + 1) + "="}


@pytest.mark.plane
@pytest.mark.parametrize("form", ["line breaks", "left-over bits"])
def test_a_peer_is_its_32_bytes_not_its_text(api, shared_host, form):
    text, forms = loose_forms()
    inner = api.connect(text).inner
    assert api.connect(forms[form]).inner == inner
    assert len(shared_host.wireguard_peers()) == 1
    assert api.disconnect(forms[form]).status == 200
    assert not shared_host.wireguard_peers()


def test_curl_that_expects_100_continue_is_answered_at_once(client, shared_host, server):
    key = random_key()
    began = time.monotonic()
    out = client.ns.run(["curl", "-sSk", "-H", f"Authorization: Bearer {PASSWORD}", "-H",
                         "Expect: 100-continue", "--expect100-timeout", "20", "-d",
                         json.dumps({"PeerPublicKey": key}),
                         f"https://{shared_host.address}/connect"])
    assert "AssignedAddr" in out
    assert time.monotonic() - began < 18
    shared_host.api(client).disconnect(key)


def test_a_request_that_comes_byte_by_byte_is_understood(client, shared_host, server):
    with Connection(client, shared_host.address) as connection:
        for byte in request_bytes("GET", "/version"):
            connection.send(bytes([byte]))
        assert connection.receive().status == 200


# TLS

def test_http_1_1_is_chosen_where_h2_is_offered_too(client, shared_host, server):
    context = tls_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with Connection(client, shared_host.address, context=context) as connection:
        assert connection.socket.selected_alpn_protocol() == "http/1.1"
        connection.send(request_bytes("GET", "/healthz"))
        assert connection.receive().status == 200


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_1_2_and_1_3_are_spoken(client, shared_host, server, version):
    done = client.ns.try_run(["curl", "-sSk", f"--tlsv{version}", "--tls-max", version,
                              f"https://{shared_host.address}/healthz"])
    assert done.stdout == "ok\n"


def test_tls_before_1_2_is_refused(client, shared_host, server):
    done = client.ns.try_run(["curl", "-sSk", "--tlsv1.0", "--tls-max", "1.1", "--ciphers",
                              "DEFAULT@SECLEVEL=0", f"https://{shared_host.address}/healthz"])
    assert done.returncode == 35  # the TLS handshake failed


def test_plain_http_is_not_answered(client, shared_host, server):
    done = client.ns.try_run(f"curl -sS -m 12 http://{shared_host.address}:443/healthz")
    assert done.returncode and "ok" not in done.stdout
    assert wait.until(lambda: shared_host.api(client).get("/healthz").status == 200)


def data_segments_in(connection):
    info = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, DATA_SEGMENTS_IN)[0]


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
def test_an_answer_and_its_goodbye_are_one_packet(client, shared_host, server, path):
    with Connection(client, shared_host.address) as connection:
        before = data_segments_in(connection)
        connection.send(request_bytes("GET", path))
        assert connection.receive().status in (200, 404)
        assert connection.socket.recv(1) == b"", "TLS has ended"
        assert data_segments_in(connection) == before + 1


def test_the_suite_is_the_one_that_costs_least_unless_the_client_begins_with_chacha20(client, shared_host, server):
    def suite(*more):
        done = client.ns.try_run(["openssl", "s_client", "-connect", f"{shared_host.address}:443", "-tls1_3", *more], timeout=30)
        return re.search(r"Cipher is (\S+)", done.stdout)[1]
    assert suite() == "TLS_AES_128_GCM_SHA256"
    chacha = "TLS_CHACHA20_POLY1305_SHA256"
    assert suite("-ciphersuites", f"{chacha}:TLS_AES_128_GCM_SHA256") == chacha
    assert suite("-ciphersuites", "TLS_AES_256_GCM_SHA384") == "TLS_AES_256_GCM_SHA384"
