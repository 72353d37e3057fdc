"""What the kernel says of a process."""


def status(pid):
    """The fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return {name: value.strip() for name, value in (line.split(":", 1) for line in file)}


def children(pid):
    """The pids of those that the process started by its first thread."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
