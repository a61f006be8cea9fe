"""What a run has left behind: processes and folders.

Each run has a temp folder of its own, by which its processes are told from those of others. The
orphans of a run become children of this process, so that none is missed that has cleared its
environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_S = 5.0


def adopt_orphans() -> None:
    """Become the parent of what our descendants leave behind (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def children() -> set[int]:
    """The living processes whose parent is this one; dead ones are reaped."""
    found = set()
    for pid in _pids():
        with contextlib.suppress(OSError):
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
            if int(parent) != os.getpid():
                continue
            if state == "Z":
                os.waitpid(pid, os.WNOHANG)
            else:
                found.add(pid)
    return found


def marked(temp: Path) -> set[int]:
    """Kernels, and what they have started, of the run whose temp folder this is."""
    found = set()
    for pid in _pids():
        with contextlib.suppress(OSError):
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"TMPDIR={temp}".encode() in environ:
                found.add(pid)
    return found


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def left(temp: Path, before: set[int], patience_s: float = PATIENCE_S) -> tuple[list[str], float]:
    """What is still there after ``patience_s``, in words, and the seconds until it was gone.

    ``before`` are the children that this process had before the run. Processes that are left are
    ended, so that one bad case does not spoil the next.
    """
    started = time.monotonic()
    while True:
        pids = marked(temp) | (children() - before)
        folders = sorted(path.name for path in temp.glob("rlm-*"))
        seconds = time.monotonic() - started
        if not pids and not folders:
            return [], seconds
        if seconds > patience_s:
            break
        time.sleep(0.05)
    said = [f"process {_command(pid)}" for pid in sorted(pids)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return said + [f"folder {name}" for name in folders], seconds


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        return command.decode(errors="replace").strip()[:80]
    return str(pid)
