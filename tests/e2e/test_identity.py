"""Who the server is to its clients: its TLS key."""

import re

import pytest



def pin(server):
    return re.search(r"sha256//\S+", server.log).group(0)


def make_certificate(folder, name="given", key="EC -pkeyopt ec_paramgen_curve:P-256"):
    return ["bash", "-ec", f"""cd {folder}
        openssl req -x509 -newkey {key} -nodes -keyout {name}-key.pem -out {name}-cert.pem \\
            -subj /CN={name} -days 2 2>/dev/null"""]


@pytest.mark.sanitize
def test_a_key_is_made_at_the_first_start_kept_and_its_fingerprint_shown(host, client):
    server = host.start()
    folder = host.state / "lib/vprox"
    key = folder / "tls-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    text = host.ns.run(f"openssl ec -in {key} -noout -text")
    assert "prime256v1" in text
    certificate = host.ns.run(f"openssl x509 -in {folder}/tls-cert.pem -noout -text")
    assert f"IP Address:{host.address}" in certificate
    first = pin(server)
    for address in host.address,:
        out = client.ns.run(f"curl -sSk --pinnedpubkey {first} https://{address}/healthz")
        assert out == "ok\n"
    server.stop()
    assert pin(host.start()) == first


def test_the_certificate_is_signed_by_the_key_that_is_shown(host):
    server = host.start()
    folder = host.state / "lib/vprox"
    out = host.ns.run(["bash", "-ec", f"openssl x509 -in {folder}/tls-cert.pem -noout -pubkey "
                       "| openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary "
                       "| base64"])
    assert pin(server) == "sha256//" + out.strip()
    host.ns.run(f"openssl verify -CAfile {folder}/tls-cert.pem {folder}/tls-cert.pem")


def test_two_hosts_do_not_have_the_same_key(world, options, host):
    from lab.server import Host
    other = Host(world, options)
    try:
        assert pin(host.start()) != pin(other.start())
    finally:
        other.close()


@pytest.mark.parametrize("kind_of_key", ["ec", "rsa"])
def test_a_given_certificate_is_used(host, client, kind_of_key):
    key = {"ec": "ec -pkeyopt ec_paramgen_curve:P-256", "rsa": "rsa:2048"}[kind_of_key]
    host.ns.run(make_certificate(host.state, key=key))
    server = host.start(f"--tls-cert={host.state}/given-cert.pem "
                        f"--tls-key={host.state}/given-key.pem")
    out = client.ns.run(f"curl -sSk --pinnedpubkey {pin(server)} -w %{{certs}} "
                        f"https://{host.address}/healthz")
    assert out.startswith("ok\n") and "CN = given" in out.replace("CN=", "CN = ")
    assert not (host.state / "lib/vprox/tls-key.pem").exists()


def test_a_certificate_and_a_key_that_do_not_belong_together_are_refused(host):
    host.ns.run(make_certificate(host.state, "one"))
    host.ns.run(make_certificate(host.state, "two"))
    before = host.snapshot()
    server = host.launch(f"--tls-cert={host.state}/one-cert.pem --tls-key={host.state}/two-key.pem",
                         expected=["two-key.pem"])
    assert server.wait() == 1
    assert "one-cert.pem" in server.log and "two-key.pem" in server.log
    host.assert_same(before)


@pytest.mark.parametrize("damage", ["missing", "no PEM"])
def test_a_certificate_that_cannot_be_read_is_named(host, damage):
    host.ns.run(make_certificate(host.state))
    if damage == "missing":
        (host.state / "given-cert.pem").unlink()
    else:
        (host.state / "given-cert.pem").write_text("nonsense")
    server = host.launch(f"--tls-cert={host.state}/given-cert.pem "
                         f"--tls-key={host.state}/given-key.pem", expected=["given-cert.pem"])
    assert server.wait() == 1
    assert "given-cert.pem" in server.log


def test_a_wireguard_key_that_is_none_is_named(host):
    (host.state / "run/vprox").mkdir(mode=0o700)
    (host.state / "run/vprox/server-key").write_text("nonsense\n")
    server = host.launch(expected=["server-key"])
    assert server.wait() == 1
    assert "/run/vprox/server-key" in server.log
    assert (host.state / "run/vprox/server-key").read_text() == "nonsense\n"


SECRETS = ["run/vprox/server-key", "lib/vprox/tls-key.pem"]


@pytest.mark.parametrize("name", [*SECRETS, "lib/vprox/tls-cert.pem"])
def test_a_link_that_leads_nowhere_is_named(host, name):
    path = host.state / name
    path.parent.mkdir(mode=0o700)
    path.symlink_to("/nonexistent/file")
    server = host.launch(expected=[path.name])
    assert server.wait() == 1
    assert server.logged(rf" error .*{path.name}: No such file")
    assert "made a TLS key" not in server.log or "cert" in name


def test_a_secret_that_others_can_read_is_named(host):
    server = host.start()
    assert "exposed" not in server.log
    server.stop()
    for name in SECRETS:
        path = host.state / name
        path.chmod(0o640)
        server = host.start()
        assert server.logged(rf" warning .*{path.name} is exposed")
        server.stop()
        path.chmod(0o600)


def test_the_wireguard_key_is_the_same_at_every_start(host):
    server = host.start()
    key = host.ns.run("wg show vprox0 public-key")
    server.stop()
    host.start()
    assert host.ns.run("wg show vprox0 public-key") == key


def test_a_password_that_can_be_guessed_is_warned_of(host):
    warning = "warning .*the password has less than 16 characters"
    for password, is_warned_of in ("x" * 15, True), ("x" * 16, False):
        server = host.start(environment={"VPROX_PASSWORD": password})
        assert bool(server.logged(warning)) == is_warned_of
        server.stop()
