"""`make install`: what it installs, where, and that it can be taken back."""

import gzip
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNITS = ["vprox-server.service", "vprox-device@.service", "vprox-client@.service",
         "vprox-block@.service"]
MOST_EXPOSED = 3.0  # of 10, as systemd-analyze(1) judges; a unit without hardening has 9.6


def run(*command, **options):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=True, **options).stdout


@pytest.fixture(scope="module", name="source")
def fixture_source(build, tmp_path_factory):
    """A build folder of our own, configured for /usr, with the programs that are built already."""
    folder = tmp_path_factory.mktemp("build")
    run("meson", "setup", "--prefix=/usr", "-Dtests=false", folder, ROOT)
    # Nothing is compiled: what would be is put there, and ninja not asked.
    for program in "vprox", "vprox-store":
        shutil.copy(build / program, folder / program)
    return folder


def install(folder, destination):
    run("meson", "install", "-C", folder, "--no-rebuild",
        env={**os.environ, "DESTDIR": str(destination)})


@pytest.fixture(scope="module", name="installed")
def fixture_installed(source, tmp_path_factory):
    destination = tmp_path_factory.mktemp("destination")
    install(source, destination)
    return destination


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def subcommands(vprox):
    """Those that its help names."""
    return re.findall(r"^  ([a-z]+) ", run(vprox, "--help"), re.MULTILINE)


def test_everything_goes_where_debian_expects_it(installed):
    assert files_in(installed) >= {
        "usr/sbin/vprox",
        "usr/sbin/vprox-device",
        "usr/libexec/vprox/vprox-store",
        *(f"usr/share/man/man8/{page.name}" for page in (ROOT / "man").glob("*.8")),
        "usr/lib/systemd/system/vprox-server.service",
        "usr/lib/systemd/system/vprox-device@.service",
        "usr/lib/systemd/system/vprox-block@.service",
        "usr/lib/systemd/system/vprox-client@.service",
        "usr/lib/sysusers.d/vprox.conf",
        "usr/lib/tmpfiles.d/vprox.conf",
        "usr/share/bash-completion/completions/vprox",
        "usr/share/bash-completion/completions/vprox-device",
        "usr/share/fish/vendor_completions.d/vprox.fish",
        "usr/share/fish/vendor_completions.d/vprox-device.fish",
        "usr/share/zsh/site-functions/_vprox",
        "usr/share/doc/vprox/examples/server.conf",
        "usr/share/doc/vprox/examples/client.conf",
        "usr/share/doc/vprox/examples/vprox-ipip.sh",
        "usr/share/doc/vprox/examples/grafana/vprox.json",
        "usr/share/doc/vprox/examples/prometheus/alerts.yml",
        *(f"usr/share/doc/vprox/{file.relative_to(ROOT)}" for file in (ROOT / "examples/fleet").iterdir()),
    }


def test_nothing_is_installed_that_could_overwrite_settings_or_enable_a_unit(installed):
    assert {name for name in files_in(installed) if name.startswith("etc/")} == {"etc/logrotate.d/vprox"}
    assert not [name for name in files_in(installed) if ".wants/" in name]


def test_units_and_settings_name_the_installed_program_and_folders(installed):
    for name in files_in(installed):
        path = installed / name
        if path.suffix in (".service", ".conf"):
            assert not re.search(r"@[a-z]+@", path.read_text()), name
    server = (installed / "usr/lib/systemd/system/vprox-server.service").read_text()
    assert "\nExecStart=/usr/sbin/vprox server " in server
    assert " --config=/etc/vprox/server.conf\n" in server


def test_the_links_lead_to_the_program(installed):
    assert os.readlink(installed / "usr/sbin/vprox-device") == "vprox"


def test_every_subcommand_has_a_manual_page(build):
    for name in subcommands(build / "vprox"):
        assert f".Nm vprox-{name}\n" in (ROOT / f"man/vprox-{name}.8").read_text()


def test_manual_pages_are_well_formed(installed):
    pages = list((installed / "usr/share/man/man8").iterdir())
    assert pages
    for page in pages:
        opener = gzip.open if page.suffix == ".gz" else open
        with opener(page, "rt") as stream:
            source = stream.read()
        done = subprocess.run(["groff", "-mandoc", "-ww", "-Tutf8", "-P-cbou"], input=source, text=True,
                              capture_output=True, check=True)
        assert "NAME" in done.stdout
        assert done.stderr == "", page


@pytest.mark.parametrize("page", sorted((ROOT / "man").glob("*.8")), ids=lambda page: page.stem)
def test_mandoc_has_no_warning_of_a_manual_page(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (done.returncode, done.stdout) == (0, "")


def test_uninstalling_leaves_nothing(source, tmp_path):
    install(source, tmp_path)
    assert files_in(tmp_path)
    run("ninja", "-C", source, "uninstall")
    assert files_in(tmp_path) == set()
    install_again = tmp_path / "other"
    install(source, install_again)  # and it can be installed again


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_hardened(installed, unit):
    folder = installed / "usr/lib/systemd/system"
    shown = run("systemd-analyze", "security", "--offline=true", "--no-pager", folder / unit)
    exposure = float(re.search(r"Overall exposure level for .*?: ([0-9.]+)", shown).group(1))
    assert exposure <= MOST_EXPOSED, shown
