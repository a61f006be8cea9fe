"""Marks what a process makes outside of itself: once the process is gone, that is a stray."""

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
    """Return the mark of this process, which no other has on any machine: digests of the machine,
    of its start and of our pid namespace, the pid, and a digest of the process's start. It has 63
    plain characters at most: not all labels and tags take more."""
    return ".".join([*_pid_scope(), str(os.getpid()), _digest(_started(os.getpid()))])


def is_gone(mark: str) -> bool:
    """Return True where the process is known to be gone. Of other machines and namespaces nothing
    is known, nor of what is no mark."""
    if mark.count(".") != PARTS - 1:
        return False
    machine, boot, namespace, pid, started = mark.split(".")
    ours = _pid_scope()
    if machine != ours[0] or not pid.isdigit():
        return False
    if boot != ours[1]:
        # Started anew since, if it is this machine: its name alone does not tell.
        return bool(_identity())
    return namespace == ours[2] and _digest(_started(int(pid))) != started


def _pid_scope() -> list[str]:
    """Return the machine, its start and our pid namespace: where a pid means something."""
    boot, namespace = "", ""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return [_digest(each) for each in (platform.node() + _identity(), boot, namespace)]


def _identity() -> str:
    """Return what tells this machine from others of its name; empty where nothing does."""
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
    """Return when a process started, in whatever unit; empty where there is none."""
    if os.path.exists("/proc/self/stat"):
        try:
            return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
        except OSError:
            return ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return "-".join(done.stdout.split())
