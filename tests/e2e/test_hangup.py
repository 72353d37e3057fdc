"""A hang-up that is ignored at the start, as by nohup(1), stays ignored; else it stops."""

import signal

from lib import wait
from lib.netns import stop

IGNORE = "trap '' HUP"


def outlives_a_hangup(process, log):
    """Signals are told in the order of their numbers: the hang-up would come first."""
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    said = log()
    assert "Terminated" in said and "Hangup" not in said, said


def test_a_client_goes_on_after_an_ignored_hangup(host, machine):
    host.start()
    client = machine.connect(host.address, program=machine.script(IGNORE)).up()
    outlives_a_hangup(client.process, lambda: client.log)
    client = machine.connect(host.address).up()
    client.stop(signal.SIGHUP)


def test_a_server_goes_on_after_an_ignored_hangup(host, machine):
    server = host.start(program=machine.script(IGNORE))
    outlives_a_hangup(server.process, lambda: server.log)


def answers(machine, device):
    return machine.ns.popen(["wg", "show", device], machine.mounts, stdout=-3).wait(30) == 0


def test_a_device_goes_on_after_an_ignored_hangup(machine):
    def device(program):
        process = machine.ns.popen([program, "device", "--foreground", "wg9"], machine.mounts)
        wait.until(lambda: answers(machine, "wg9"), 30, "it answers")
        return process
    process = device(machine.script(IGNORE))
    try:
        process.send_signal(signal.SIGHUP)
        for _ in range(3):
            assert answers(machine, "wg9")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process = device(machine.options.vprox)
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0
    finally:
        stop(process)
