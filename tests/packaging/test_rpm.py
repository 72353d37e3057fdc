"""The RPM's spec: that rpm reads it, and that it keeps up with what is installed. `make rpm` builds with it."""

import fnmatch
import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SPEC = ROOT / "packaging/rpm/vprox.spec"


def output(*command):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def test_rpm_reads_it_and_it_is_of_the_same_version_as_the_program():
    version, = re.findall(r"^  version: '(.*)',", (ROOT / "meson.build").read_text(), re.MULTILINE)
    assert output("rpmspec", "-q", "--qf", "%{name} %{version}", SPEC) == f"vprox {version}"


def test_rpmlint_finds_no_error_in_it():
    done = subprocess.run(["rpmlint", SPEC], check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and " 0 errors," in done.stdout, done.stdout


def test_it_has_all_that_is_installed(build):
    text = output("rpmspec", "-P", SPEC)
    listed = [line.split()[-1] for line in re.search(r"%files\n(.*?)\n\n", text, re.DOTALL).group(1).splitlines()]
    installed = json.loads(output("meson", "introspect", "--installed", build)).values()
    prefix = next(re.match("(.*)/sbin/vprox$", path).group(1) for path in installed if path.endswith("/sbin/vprox"))
    for path in installed:
        place = pathlib.Path(path.replace(prefix, "/usr", 1))
        assert any(fnmatch.fnmatch(str(part), pattern) for part in [place, *place.parents] for pattern in listed), place


def test_it_is_built_with_all_libraries_that_the_build_asks_for():
    needed = re.findall(r"dependency\('(.*?)'", (ROOT / "meson.build").read_text())
    assert needed
    asked = output("rpmspec", "-q", "--buildrequires", SPEC)
    assert [name for name in needed if f"pkgconfig({name})" not in asked] == []


def test_its_scripts_are_well_formed():
    text = output("rpmspec", "-P", SPEC)
    for name in "post", "preun", "postun":
        script = re.search(rf"^%{name}\n(.*?)\n(?=%|\Z)", text, re.DOTALL | re.MULTILINE).group(1)
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)
