"""Has another process make a system call, as somebody would who has taken it over by a hole, or uses
its descriptors in its place. Needs root, and for the calls an x86-64 processor."""

import ctypes
import os
import platform
import signal
import socket
import struct

from lib import wait

CAN_INJECT = platform.machine() == "x86_64"

PTRACE_PEEKTEXT, PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS = 1, 9, 12, 13
PTRACE_ATTACH, PTRACE_DETACH, PTRACE_SEIZE = 16, 17, 0x4206
WALL = 0x40000000
REGISTERS = struct.Struct("27Q")  # user_regs_struct, sys/user.h
RAX, RCX, RDX, RSI, RDI, ORIG_RAX, RIP = 10, 11, 12, 13, 14, 15, 16
R10, R8, R9 = 7, 9, 8
ARGUMENTS = [RDI, RSI, RDX, R10, R8, R9]
SYSCALL = b"\x0f\x05"  # the instruction
NONE = (1 << 64) - 1

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

# asm/unistd_64.h
CALLS = {"mmap": 9, "mprotect": 10, "getpid": 39, "socket": 41, "kill": 62, "fcntl": 72, "ptrace": 101,
         "personality": 135, "pivot_root": 155, "mount": 165, "reboot": 169, "init_module": 175,
         "iopl": 172, "ioperm": 173, "tgkill": 234, "kexec_load": 246, "keyctl": 250,
         "unshare": 272, "perf_event_open": 298, "process_vm_readv": 310, "finit_module": 313,
         "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "pidfd_getfd": 438}


class Killed(Exception):
    """The process was killed for what it tried."""


def ptrace(request, pid, address=0, data=0):
    ctypes.set_errno(0)
    result = LIBC.ptrace(request, pid, address, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request}: {os.strerror(ctypes.get_errno())}")
    return result


def get_registers(pid):
    buffer = ctypes.create_string_buffer(REGISTERS.size)
    ptrace(PTRACE_GETREGS, pid, 0, ctypes.addressof(buffer))
    return list(REGISTERS.unpack(buffer.raw))


def set_registers(pid, registers):
    buffer = ctypes.create_string_buffer(REGISTERS.pack(*registers), REGISTERS.size)
    ptrace(PTRACE_SETREGS, pid, 0, ctypes.addressof(buffer))


def wait_stopped(pid):
    _, status = os.waitpid(pid, WALL)
    if os.WIFSIGNALED(status):
        raise Killed(signal.Signals(os.WTERMSIG(status)).name)
    assert os.WIFSTOPPED(status), status


def attach_in_system_call(pid):
    """Stops it and returns its registers, unless it is not in a system call just then."""
    ptrace(PTRACE_ATTACH, pid)
    wait_stopped(pid)
    registers = get_registers(pid)
    word = struct.pack("q", ptrace(PTRACE_PEEKTEXT, pid, registers[RIP] - len(SYSCALL)))
    if word.startswith(SYSCALL):
        return registers
    ptrace(PTRACE_DETACH, pid)
    return None


def system_call(pid, name, *arguments):
    """Its result, a negative errno if it failed. Raises Killed if the process has ended by it. The
    process goes on where it was."""
    before = wait.until(lambda: attach_in_system_call(pid), what="a system call that it waits in")
    registers = list(before)
    registers[RIP] -= len(SYSCALL)
    registers[RAX], registers[ORIG_RAX] = CALLS[name], NONE
    for register, argument in zip(ARGUMENTS, arguments):
        registers[register] = argument & NONE
    set_registers(pid, registers)
    ptrace(PTRACE_SINGLESTEP, pid)
    wait_stopped(pid)
    result = struct.unpack("q", struct.pack("Q", get_registers(pid)[RAX]))[0]
    set_registers(pid, before)
    ptrace(PTRACE_DETACH, pid)
    return result


def take(pid, fd):
    """A descriptor of another process, as a socket of ours."""
    process = os.pidfd_open(pid)
    try:
        taken = LIBC.syscall(CALLS["pidfd_getfd"], process, fd, 0)
    finally:
        os.close(process)
    if taken < 0:
        raise OSError(ctypes.get_errno(), f"cannot take descriptor {fd} of process {pid}")
    return socket.socket(fileno=taken)
