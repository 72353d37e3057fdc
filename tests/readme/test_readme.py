"""Every command of README.md's shell blocks is run, in order, on hosts with the addresses that the page names."""

import fnmatch
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import blocks  # noqa: E402
from lab import ROOT, SECONDS, Lab, Service  # noqa: E402
from lib import kernel, wait  # noqa: E402

HOSTS = {"server": ["203.0.113.7", "203.0.113.8"], "new-host": ["203.0.113.9"],
         "client": ["198.51.100.9"]}
# Where a reader of each section is.
WHERE = {"Install": "server", "Run a server": "server", "Firewall": "server",
         "Several addresses, and addresses that move": "server", "Connect": "client",
         "Look at it": "server", "Build and test": "server", "Join with what every Linux has": "client"}
KERNEL_ONLY = re.compile(r"ip link add \S+ type (wireguard|ipip)")

PASSWORD = "a-long-secret-of-yours"  # the page's

# What cannot be run here, why, and what is looked at instead: a command that must succeed.
NOT_RUN = {
    "make demo": ("test_demo.py runs it", "make -n demo"),
    "make deps": ("it installs packages on this machine", "make -n deps && sh -n packaging/install-deps"),
    "make deb": ("tests/packaging builds it", "make -n deb"),
    "make rpm": ("it takes a minute; tests/packaging reads the spec", "make -n rpm && rpmspec -P packaging/rpm/vprox.spec"),
    "make container": ("it takes minutes; tests/packaging runs what is in it", "make -n container"),
    "dnf install ./build/vprox-*.rpm": ("this is no Fedora", "test -x packaging/build-rpm"),
    "podman load -i build/vprox-container.tar.gz": ("there is no podman", "test -x packaging/build-container"),
    "make": ("the build under test was made with it", "make -n all"),
    "make test": ("it runs this test", "make -n test"),
    "meson test -C build": ("a suite of its own", "meson test -C $BUILD --list"),
    "tests/guest/run -- /usr/bin/python3 -m pytest tests/e2e -k idle":
        ("takes minutes", "tests/guest/run --help && /usr/bin/python3 -B -m pytest "
         "-p no:cacheprovider --collect-only -q tests/e2e -k idle"),
    "apt install ./build/vprox_*.deb":
        ("tests/packaging installs it", "grep -q 'dpkg -i' tests/packaging/test_deb.py"),
    "systemd-sysusers": ("it makes a user", "systemd-sysusers --dry-run $PWD/packaging/systemd/vprox.sysusers"),
    "systemctl daemon-reload": ("there is no systemd", "test -e $BUILD/packaging/vprox-server.service"),
    "install -D -m 600 /usr/share/doc/vprox/examples/server.conf /etc/vprox/server.conf":
        ("the package is not installed", "test -e $BUILD/packaging/server.conf"),
    "editor /etc/vprox/server.conf": ("nobody types", "test -e $BUILD/packaging/server.conf"),
    "systemctl enable --now vprox-server":
        ("tests/packaging runs the service", "grep -q vprox-server tests/packaging/test_service.py"),
    "journalctl -u vprox-server":
        ("tests/packaging reads the fingerprint there", "grep -q 'journal(.vprox-server.)' tests/packaging/test_service.py"),
    "vprox server --ip 203.0.113.7 --wg-block 10.100.0.0/16 "
    "--oidc 'https://token.actions.githubusercontent.com,audience=vprox,require=repository:octo/*'":
        ("its issuer is on the Internet", "grep -qF 'audience={AUDIENCE},require=' tests/e2e/test_oidc.py"),
    "scp -p 203.0.113.7:/var/lib/vprox/tls-key.pem /var/lib/vprox/tls-key.pem":
        ("no host here has sshd; the test carries the file over", "true"),
}


@pytest.fixture(scope="module", name="build")
def fixture_build():
    return pathlib.Path(os.environ.get("VPROX_BUILD", ROOT / "build")).resolve()


@pytest.fixture(scope="module", name="folder")
def fixture_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


@pytest.fixture(scope="module", name="lab")
def fixture_lab(build, folder):
    assert os.geteuid() == 0, "must be run as root"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=ifconfig.me", "-addext",
                    "subjectAltName=DNS:ifconfig.me", "-keyout", folder / "key", "-out", folder / "cert"],
                   check=True, capture_output=True)
    # Loaded later, ipip would put its tunl0 into every namespace in the middle of a test.
    subprocess.run(["modprobe", "-a", "wireguard", "ipip"], check=False, capture_output=True)
    lab = Lab(HOSTS, {"BUILD": str(build), "CURL_CA_BUNDLE": str(folder / "cert"),
                      "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"})
    try:
        lab.web = lab.internet.start(f"exec /usr/bin/python3 -B tests/readme/who.py {folder}/cert {folder}/key")
        assert lab.web.stdout.readline() == "ready\n", lab.web.stdout.read()
        for name in "server", "new-host", "client":
            lab.hosts[name].run(f"mkdir -p /usr/local/sbin; ln -s {build}/vprox /usr/local/sbin/vprox")
        # A host that lets in what it must, and no more.
        lab.hosts["server"].run("""nft -f - <<'END'
            table inet filter {
                chain input {
                    type filter hook input priority filter; policy drop;
                    iif lo accept
                    ct state established,related accept
                }
            }\nEND""")
        yield lab
    finally:
        lab.close()


class Reader:
    """Follows the page."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        self.services = {}
        self.answer = {}
        self.pin = None
        self.ran = []

    def service(self, name, command):
        """Starts it in place of an earlier one on that host."""
        self.stop(name)
        log = self.folder / f"{len(self.ran)}.log"
        self.services[name] = Service(self.lab.hosts[name], command, log)
        return self.services[name]

    def stop(self, name):
        if name in self.services:
            self.services.pop(name).stop()

    def close(self):
        for service in self.services.values():
            service.process.kill()
            service.process.wait()

    def fill_in(self, text):
        """What the page leaves to its reader."""
        if self.pin:
            text = text.replace("sha256//...", self.pin)
        if "SERVER_PUBLIC_KEY" in text:
            text = text.replace("SERVER_PUBLIC_KEY", self.answer["ServerPublicKey"])
        if text.startswith("ip address add 10.100."):
            text = re.sub(r"10\.100\.\S+", self.answer["AssignedAddr"], text)
        return text

    def serve(self, name, command):
        service = self.service(name, command)
        service.wait_for("info server: ready")
        self.pin = re.search(r"TLS public key: (\S+)", service.said())[1]
        assert "can be guessed" not in service.said(), "what the page shows is what its readers do"

    def follow(self, block, where=None):
        name = where or WHERE[block.heading]
        shell = []  # what the block has set so far
        for command in block.commands:
            text = self.fill_in(command.text)
            self.ran.append(command.text)
            if re.match(r"VPROX_PASSWORD=\S+ vprox server", text):
                self.serve(name, text)
            elif text.startswith("vprox connect"):
                self.connect(name, text)
            elif re.match(r"\w+=\S|export ", text):
                # What was set once must stay the same: a key is made but once.
                shell.append(self.keep(name, text))
            elif text.endswith("--watch"):
                self.watch(name, text)
            else:
                self.run_one(name, shell, text, command.expected)

    def run_one(self, name, shell, text, expected):
        said = self.lab.hosts[name].try_run("; ".join(["set -o pipefail", *shell, text]))
        assert said.returncode == 0, f"{text}\n{said.stdout}"
        if text.startswith("curl") and "/connect" in text:
            self.answer = json.loads(said.stdout[said.stdout.index("{"):])
        if expected:
            last = said.stdout.strip().splitlines()[-1]
            last = last[last.index("{"):] if "{" in last else last
            anything = re.sub(r"10\.100\.0\.\d+", "10.100.*", expected).replace("...", "*")
            anything = anything.replace("[", "[[]")
            assert fnmatch.fnmatchcase(last, anything), f"{text}\n{said.stdout}\nexpected: {expected}"

    def keep(self, name, assignment):
        variable, value = assignment.removeprefix("export ").split("=", 1)
        if value.startswith("$("):
            value = self.lab.hosts[name].run(f"printf %s {value}")
        return f"export {variable}='{value}'"

    def connect(self, name, text):
        text = f"VPROX_PASSWORD={PASSWORD} {text}"
        self.stop(name)
        if "--once" in text:
            self.lab.hosts[name].run(text)
        else:
            self.service(name, text).wait_for("the tunnel is up")
        url, interface = "https://ifconfig.me/ip", "--interface vprox0 "
        if "--route" in text:
            interface = ""
        assert self.lab.hosts[name].run(f"curl -sS --max-time 20 {interface}{url}") == "203.0.113.7\n", text

    def watch(self, name, text):
        log = self.folder / "watch.log"
        service = Service(self.lab.hosts[name], text, log)
        try:
            wait.until(lambda: service.said().count("endpoint: 203.0.113.7") > 1, SECONDS, service.said)
        finally:
            service.signal(signal.SIGTERM)
            service.process.wait(SECONDS)


@pytest.fixture(scope="module", name="reader")
def fixture_reader(lab, folder):
    reader = Reader(lab, folder)
    yield reader
    reader.close()


PAGE = blocks.read()


def commands_not_run():
    return [command.text for block in PAGE for command in block.commands if command.text in NOT_RUN]


def runnable(block):
    return blocks.Block(block.heading, [one for one in block.commands if one.text not in NOT_RUN])


def test_the_page_has_the_commands_that_it_is_about():
    text = "\n".join(block.text for block in PAGE)
    for one in ("make demo", "make install", "vprox server", "vprox connect", "--pin", "--route", "--once",
                "--tunnel=ipip", "vprox show", "type wireguard", "type ipip"):
        assert one in text


def test_nothing_is_excepted_that_is_not_on_the_page():
    assert set(commands_not_run()) == set(NOT_RUN)


@pytest.mark.parametrize("command", sorted(NOT_RUN))
def test_what_cannot_be_run_here_is_there(build, command):
    reason, check = NOT_RUN[command]
    done = subprocess.run(check, shell=True, cwd=ROOT, env={**os.environ, "BUILD": str(build)}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, f"{command} is not run, as {reason}; {check}:\n{done.stdout}"


def test_every_other_command_does_what_the_page_says(lab, reader):
    for block in map(runnable, PAGE):
        if not block.commands or KERNEL_ONLY.search(block.text):
            continue
        if block.heading == "Install":
            install(lab, block)
        elif "tls-key.pem" in block.text:
            move(lab, reader, block)
        else:
            reader.follow(block)
    joins = [block for block in PAGE if KERNEL_ONLY.search(block.text)]
    expected = [command.text for block in map(runnable, PAGE) for command in block.commands
                if block not in joins and block.heading != "Install"]
    assert reader.ran == expected
    reader.stop("client")


def install(lab, block):
    """Into a /usr/local of the host's own."""
    server = lab.hosts["server"]
    server.run("rm /usr/local/sbin/vprox")
    server.run(block.text)
    server.run("test -f /usr/local/sbin/vprox -a ! -L /usr/local/sbin/vprox")
    server.run("vprox --version && test -f /usr/local/share/doc/vprox/examples/server.conf")


def move(lab, reader, block):
    """The address's key goes to the other host, which then shows the same fingerprint."""
    new = lab.hosts["new-host"]
    before = reader.pin
    key = lab.hosts["server"].run("cat /var/lib/vprox/tls-key.pem")
    reader.ran.append(block.commands[0].text)
    new.run(block.commands[0].text)
    new.run(f"umask 077; cat >/var/lib/vprox/tls-key.pem <<'END'\n{key}END")
    for command in block.commands[1:]:
        reader.ran.append(command.text)
        new.run(command.text)
    reader.serve("new-host", f"VPROX_PASSWORD={PASSWORD} vprox server --ip 203.0.113.9 --wg-block 10.100.0.0/16")
    assert reader.pin == before
    reader.stop("new-host")


@pytest.mark.guest
def test_what_every_linux_has_is_enough_to_join(lab, reader):
    """In the guest, where the kernel is one that has it."""
    kernel.need("wireguard", "ipip")
    lab.hosts["client"].try_run("ip link delete vprox0")
    if "server" not in reader.services:
        lab.hosts["server"].run("nft delete table inet filter")
        reader.serve("server", f"VPROX_PASSWORD={PASSWORD} vprox server --ip 203.0.113.7 --wg-block 10.100.0.0/16")
    joins = [block for block in PAGE if KERNEL_ONLY.search(block.text)]
    assert len(joins) == 2
    for block in joins:
        reader.follow(block)
        lab.hosts["client"].run("ip link delete vprox0")


def test_the_page_is_read_as_a_reader_does():
    page = "# A\n\n```sh\none \\\n  two   # why\n# says ...\nthree\n```\n```\nnot this\n```\n## B\n```sh\nfour\n```\n"
    first, second = blocks.read(page)
    assert (first.heading, second.heading) == ("A", "B")
    assert [(one.text, one.expected) for one in first.commands] == [("one two", "says ..."), ("three", "")]
    assert second.text == "four"
