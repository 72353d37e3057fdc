"""Hosts of which each is a process in namespaces of its own, with files of its own in /run, /var/lib, /etc/vprox,
/etc/logrotate.d and /usr/local. The kernel removes them with that process, which does not outlive this one."""

import os
import pathlib
import signal
import subprocess

from lib import wait

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECONDS = 60  # for whatever is waited for
OWN_FOLDERS = "/run", "/var/lib", "/usr/local", "/etc/logrotate.d"


class Host:
    def __init__(self, name, environment):
        self.environment = environment
        script = f"""
            set -e
            for folder in {' '.join(OWN_FOLDERS)}; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
            mkdir /run/hosts && echo '198.51.100.80 ifconfig.me' >/run/hosts/hosts
            mount --bind /run/hosts/hosts /etc/hosts
            hostname {name}
            ip link set lo up
            echo ready
            exec sleep infinity
            """
        self.starter = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--uts",
             "--ipc", "--fork", "--kill-child", "--mount-proc", "bash", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.starter.stdout.readline()
        assert said == "ready\n", said + self.starter.stdout.read()
        children = pathlib.Path(f"/proc/{self.starter.pid}/task/{self.starter.pid}/children")
        self.pid = children.read_text().strip()

    def _command(self, *command):
        return ["nsenter", "--target", self.pid, "--mount", "--net", "--pid", "--uts", "--ipc",
                f"--wdns={ROOT}", "env", *(f"{k}={v}" for k, v in self.environment.items()), *command]

    def start(self, script, **options):
        return subprocess.Popen(self._command("bash", "-c", script), text=True,
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                                   "stderr": subprocess.STDOUT, **options})

    def try_run(self, script, **options):
        return subprocess.run(self._command("bash", "-c", script), text=True, check=False,
                              timeout=SECONDS, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, **options)

    def run(self, script):
        done = self.try_run(script)
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def close(self):
        self.starter.kill()
        self.starter.wait()
        self.starter.stdout.close()


class Service:
    """A command that goes on until it is stopped."""

    def __init__(self, host, command, log):
        self.command, self.log = command, log
        with open(log, "w", encoding="utf-8") as file:
            self.process = host.start(f"exec {command}" if "=" not in command.split()[0] else
                                      f"export {command.split()[0]}; exec {command.split(' ', 1)[1]}",
                                      stdout=file)

    def said(self):
        return self.log.read_text()

    def wait_for(self, text):
        def condition():
            assert self.process.poll() is None, f"{self.command}\n{self.said()}"
            return text in self.said()
        wait.until(condition, SECONDS, lambda: f"{text} of {self.command}\n{self.said()}")

    def signal(self, number):
        """To the command itself, which is nsenter's child."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        os.kill(int(children.read_text()), number)

    def stop(self):
        """By Ctrl-C. Must end well."""
        self.signal(signal.SIGINT)
        assert self.process.wait(SECONDS) == 0, f"{self.command}\n{self.said()}"


class Lab:
    """An Internet with its hosts: each behind one wire."""

    def __init__(self, addresses, environment):
        self.hosts = {}
        try:
            self.internet = self._add("internet", environment)
            self.internet.run("sysctl -qw net.ipv4.ip_forward=1; ip address add 198.51.100.80/32 dev lo")
            for name, owned in addresses.items():
                host = self._add(name, environment)
                gateway = f"192.0.2.{len(self.hosts)}"
                subprocess.run(["nsenter", f"--net=/proc/{self.internet.pid}/ns/net", "ip", "link", "add",
                                f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", host.pid],
                               check=True)
                self.internet.run(f"ip address add {gateway}/32 dev to-{name}; ip link set to-{name} up;"
                                  + "".join(f"ip route add {one}/32 dev to-{name};" for one in owned))
                host.run(f"ip address add {owned[0]}/32 dev eth0; ip link set eth0 up;"
                         f"ip route add {gateway} dev eth0;"
                         f"ip route add default via {gateway} src {owned[0]}")
        except BaseException:
            self.close()
            raise

    def _add(self, name, environment):
        self.hosts[name] = Host(name, environment)
        return self.hosts[name]

    def close(self):
        for host in self.hosts.values():
            host.close()
