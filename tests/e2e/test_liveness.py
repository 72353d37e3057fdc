"""The liveness report of the older programs: what is served is reported to a backend, and nothing else."""

import json
import pathlib
import re
import subprocess

import pytest

from lab.web import WebServer, answer
from lib import wait
from lib.process import status

BACKEND, PORT = "127.0.0.1", 8443
TOKEN = "a-token-of-the-backend"
PATH = "/api/admin/staticip/liveness"


def variables(url=f"http://{BACKEND}:{PORT}", **more):
    return {"BACKEND_ENDPOINT": url, "BACKEND_ADMIN_TOKEN": TOKEN, **more}


def reported(backend, since=0):
    return [json.loads(request.body) for request in backend.requests[since:]]


def test_each_address_that_is_served_is_reported_every_two_seconds_and_none_any_more_at_the_end(host):
    backend = WebServer(host.ns, BACKEND, PORT, lambda _: answer(201))
    server = host.start('--region="us \\"east\\"" --wg-block-per-ip=/24 --follow=' + host.absent + "/32",
                        environment=variables(), gates=2)
    wait.until(lambda: len(backend.requests) >= 3, 30)
    assert reported(backend) == [{"ip": host.address, "region": 'us "east"'}] * len(backend.requests)
    for request in backend.requests:
        assert (request.method, request.path) == ("POST", PATH)
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers["Content-Type"] == "application/json"
    for pid in server.processes():
        assert TOKEN.encode() not in pathlib.Path(f"/proc/{pid}/environ").read_bytes(), pid
        assert TOKEN.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes(), pid
    times = [request.time for request in backend.requests]
    # On a busy machine the first may be late.
    assert times[-1] - times[0] > 1.5 * (len(times) - 1) - 1, times

    host.ns.ip(f"addr add {host.absent}/32 dev wan0")
    wait.until(lambda: {"ip": host.absent, "region": 'us "east"'} in reported(backend), 30)
    host.ns.ip(f"addr del {host.absent}/32 dev wan0")
    wait.until(lambda: f"endpoint {host.absent}: closed" in server.log, 30)
    wait.until(lambda: {"ip": host.absent, "region": 'us "east"'} not in reported(backend)[-4:], 30)

    server.stop()
    assert "has no effect" not in server.log and TOKEN not in server.log
    since = len(backend.requests)
    wait.throughout(lambda: len(backend.requests) <= since + 1, 2.5)  # one may have been on its way
    backend.close()


def test_a_failure_is_said_once_until_it_changes_and_keeps_nobody_from_a_tunnel(host, client):
    server = host.start("--log-level=info", environment=variables(), expected=["cannot report to"])

    def said(what):
        return len(re.findall(f"cannot report to {BACKEND} that it is served, will go on trying: {what}", server.log))
    wait.until(lambda: said("Connection refused") == 1, 30)
    backend = WebServer(host.ns, BACKEND, PORT, lambda _: answer(503))
    wait.until(lambda: said("the answer is HTTP status 503") == 1 and len(backend.requests) >= 3, 30)
    assert host.tunnel("wireguard", client).up().visit() == host.address
    assert said("the answer is HTTP status 503") == 1 and said("Connection refused") == 1

    def garbage(_):
        while True:
            yield b"no answer " * 100
    backend.answers = garbage
    wait.until(lambda: said("what came is no HTTP answer|the answer is too long"), 30)
    backend.answers = lambda _: answer(200)
    wait.until(lambda: server.logged(f"that it is served is reported to {BACKEND} again"), 30)
    assert TOKEN not in server.log
    server.stop()
    backend.close()


def test_by_tls_the_token_is_told_to_the_backend_alone(host, authority):
    """One that no authority has certified, or for another name, is told nothing."""
    authority.issue("backend", BACKEND)
    certificate = [authority.folder / "backend.pem", authority.folder / "backend.key"]
    backend = WebServer(host.ns, BACKEND, PORT, lambda _: answer(200), certificate)
    server = host.start(environment=variables(f"https://{BACKEND}:{PORT}/prefix/"), expected=["cannot report to"])
    wait.until(lambda: server.logged("cannot report to .*: .*certificate"), 30)
    server.stop()
    assert not backend.requests
    trusted = {"SSL_CERT_FILE": str(authority.folder / "ca.pem")}
    server = host.start(environment=variables(f"https://{BACKEND}:{PORT}/prefix/", **trusted))
    wait.until(lambda: backend.requests, 30)
    assert backend.requests[0].path == "/prefix" + PATH
    server.stop()
    since = len(backend.requests)
    server = host.start(environment=variables(f"https://localhost:{PORT}", **trusted), expected=["cannot report to"])
    wait.until(lambda: server.logged("cannot report to localhost .*: .*[Hh]ostname"), 30)
    assert len(backend.requests) == since
    backend.close()


def test_who_reports_has_no_rights_and_is_replaced(host):
    backend = WebServer(host.ns, BACKEND, PORT, lambda _: answer(200))
    config = host.state / "server.conf"
    config.write_text(f"BACKEND_ENDPOINT=http://localhost:{PORT}\nBACKEND_ADMIN_TOKEN={TOKEN}\n")
    server = host.start(f"--config={config}")
    wait.until(lambda: backend.requests, 30)
    assert backend.requests[0].headers["Authorization"] == f"Bearer {TOKEN}"
    reporter, = server.children_called("cloud")
    found = status(reporter)
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2"
    assert {found[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert "0" not in found["Uid"].split() and found["Uid"] != status(server.gates()[0])["Uid"]
    # One that dies is replaced.
    since = len(backend.requests)
    server.expect("cloud 0, process")
    host.ns.run(f"kill -9 {reporter}")
    wait.until(lambda: len(backend.requests) > since, 30)
    assert server.children_called("cloud") != [reporter]
    for line in 'vprox_process_up{process="reporter",number="0"} 1\n', \
                'vprox_process_restarts_total{process="reporter",number="0"} 1\n':
        assert line in host.run("show --metrics")[1]
    server.stop()
    backend.close()


@pytest.mark.parametrize("url", ["backend.example", "ftp://backend.example", "https://", "https://a:b@c", "http://x:0"])
def test_a_backend_that_is_none_is_named(host, url):
    code, said = host.run(f"server --ip {host.address} --wg-block 10.100.0.0/16", variables(url))
    assert code == 2 and f"BACKEND_ENDPOINT {url}: " in said


def test_one_variable_without_the_other_reports_nothing_and_is_said(host):
    server = host.start(environment={"BACKEND_ADMIN_TOKEN": TOKEN})
    assert server.logged("BACKEND_ENDPOINT is not set: what is served is reported to nobody")
    assert not server.children_called("cloud")


def test_a_region_that_no_backend_can_be_told_is_refused(options):
    """Without a password no server would start in any case."""
    done = subprocess.run([options.vprox, "server", "--ip=192.0.2.1", "--wg-block=10.100.0.0/16", b"--region=us\xff"],
                          env={}, capture_output=True, timeout=30, check=False)
    assert done.returncode == 2 and b"--region" in done.stderr and b"is no UTF-8" in done.stderr
