"""A machine that packages can be installed on and services run: this machine's files under a layer that
takes all that is written, with namespaces of its own, and systemd as its first process."""

import pathlib
import shutil
import subprocess
import tempfile

from lib import wait

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 60  # for whatever is waited for
ENVIRONMENT = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
               "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER="]


class Machine:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="vprox-machine-")
        # Whoever ends this process ends the machine: it is the parent of its first process.
        self.starter = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net",
             "--cgroup", HERE / "machine_init", self.folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            self.init = wait.until(self._first_process, SECONDS, "the machine has a first process")
            wait.until(self._is_up, SECONDS, "systemd is up")
        except BaseException:
            self.close()
            raise

    def _first_process(self):
        assert self.starter.poll() is None, self.starter.stdout.read().decode()
        children = pathlib.Path(f"/proc/{self.starter.pid}/task/{self.starter.pid}/children")
        return children.read_text().strip()

    def _is_up(self):
        assert self.starter.poll() is None, self.starter.stdout.read().decode()
        name = pathlib.Path(f"/proc/{self.init}/comm").read_text().strip()
        if name != "systemd":
            return False
        return self.run("systemctl is-system-running", check=False).stdout.strip() in (
            "running", "degraded")

    def run(self, script, *, check=True, stdin=None):
        """Runs a script of bash there; both outputs come as one."""
        done = subprocess.run(
            ["nsenter", "--target", self.init, "--all", *ENVIRONMENT, "bash", "-c", script],
            input=stdin, stdin=None if stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}"
        return done

    def output(self, script):
        return self.run(script).stdout.strip()

    def ok(self, script):
        return self.run(script, check=False).returncode == 0

    def spawn(self, script):
        return subprocess.Popen(
            ["nsenter", "--target", self.init, "--all", *ENVIRONMENT, "bash", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def show(self, unit, name):
        """A property of a unit."""
        return self.output(f"systemctl show --value -p {name} {unit}")

    def journal(self, unit):
        return self.output(f"journalctl --no-pager -o cat -u '{unit}'")

    def changed(self):
        """The files that are there and were not, or were changed."""
        return self.output("cd /run/layer && find . -mindepth 1 ! -type c -printf '/%P\\n'"
                           ).splitlines()

    def close(self):
        self.starter.kill()
        self.starter.wait()
        self.starter.stdout.close()
        shutil.rmtree(self.folder)
