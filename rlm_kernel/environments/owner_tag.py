"""The mark of a process, on what it makes elsewhere: when the process is gone, that is a stray."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import uuid
from contextlib import suppress
from pathlib import Path

PARTS = 5


def host_mark() -> str:
    """What tells this process from all others, on this machine and on others: digests of machine,
    its start and our pid namespace, the pid, and a digest of the process's start. At most 63
    characters, all of them plain: labels and tags take no more everywhere."""
    return ".".join([*_here(), str(os.getpid()), _digest(_started(os.getpid()))])


def is_gone(mark: str) -> bool:
    """Whether the process is known to be gone. Of other machines and namespaces nothing is, nor
    of what is no mark."""
    if mark.count(".") != PARTS - 1:
        return False
    machine, boot, namespace, pid, started = mark.split(".")
    here = _here()
    if machine != here[0] or not pid.isdigit():
        return False
    if boot != here[1]:
        # Started anew since, if it is this machine: its name alone does not tell.
        return bool(_identity())
    return namespace == here[2] and _digest(_started(int(pid))) != started


def _here() -> list[str]:
    """Machine, its start and our pid namespace: where a pid means something."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return [_digest(each) for each in (platform.node() + _identity(), boot, namespace)]


def _identity() -> str:
    """What tells this machine from others of its name; empty where nothing does."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError):
            if text := Path(path).read_text().strip():
                return text
    address = uuid.getnode()
    made_up = address >> 40 & 1  # by Python, anew in each process
    return "" if made_up else f"{address:012x}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _started(pid: int) -> str:
    """When a process started, in whatever unit; empty when there is no such process."""
    if os.path.exists("/proc/self/stat"):
        try:
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        except OSError:
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return "-".join(done.stdout.split())
