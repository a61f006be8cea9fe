"""Starts a kernel and ends all that came of it, however its host or the kernel itself ended.

``environments.local.watchdog`` starts this as a small process of a session of its own: the parent
of one kernel. It is a subreaper (Linux): whatever the kernel starts stays below it, also what has a
session of its own, no environment and no parent left. It ends all of that and deletes the kernel's
private folder when its standard input ends, which is when the host closes it or died, kill -9
included. Code of a kernel cannot read or trace it, but can kill or stop it, as any process of the
same user: then the kernel ends too, and the host sees it.

Stdlib only: the process is started with ``-I -S``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
END_S = 5.0
"""So long what a kernel started is killed again and again; it may fork meanwhile."""


def prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _exit_code(status: int) -> int:
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


# -- processes below one --------------------------------------------------------------------------
def parents() -> dict[int, int]:
    """Return each process and its parent (Linux; elsewhere none are found)."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def below(roots: set[int]) -> Iterator[int]:
    """Yield the living processes below these, without these."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    waiting = [pid for root in roots for pid in children.get(root, ())]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


# -- the process ----------------------------------------------------------------------------------
class _Keeper:
    """The parent of one kernel."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._kernel = 0
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> None:
        """Do as the host orders until it is gone."""
        orders, watched = b"", [0, self._woken]
        if hasattr(os, "pidfd_open"):  # a process that the host forked may hold our input open
            with contextlib.suppress(OSError):  # an older kernel than Python was built for
                watched.append(os.pidfd_open(os.getppid()))
        while True:
            ready = select.select(watched, [], [])[0]
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            elif 0 in ready and (more := os.read(0, 1 << 16)):
                orders += more
                if orders.endswith(b"\n"):
                    self._start(json.loads(orders))
                    orders = b""
            else:
                return

    def _start(self, order: dict[str, Any]) -> None:
        try:
            with open(order["log"], "wb") as log:
                process = subprocess.Popen(
                    order["argv"],
                    cwd=order["cwd"],
                    env={**order["env"], "JPY_PARENT_PID": str(os.getpid())},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=_die_with_parent,
                )
        except OSError as error:
            self._say(errno=error.errno, error=error.strerror, path=os.fsdecode(error.filename))
            return
        self._kernel = process.pid
        process.returncode = 0  # it is reaped with all others
        self._say(pid=process.pid)

    def _say(self, **told: Any) -> None:
        with contextlib.suppress(OSError):  # the host is gone: our input ends too
            os.write(1, json.dumps(told).encode() + b"\n")

    def _reap(self) -> None:
        """Collect all that ended: who has lost its parent is a child of ours."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self._kernel:
                    self._kernel = 0
                    self._say(code=_exit_code(status))

    def end(self) -> None:
        """End the kernel and all that is below us, and delete the folder."""
        if self._kernel:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._kernel, signal.SIGKILL)
        limit = time.monotonic() + END_S
        while time.monotonic() < limit:
            self._reap()
            left = list(below({os.getpid()}))
            if not left and not (self._kernel and sys.platform != "linux"):
                break
            for pid in left:
                kill(pid)
            select.select([self._woken], [], [], 0.01)
        shutil.rmtree(self._folder, ignore_errors=True)


def _die_with_parent() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper = _Keeper(sys.argv[1])
    try:
        keeper.run()
    finally:
        keeper.end()
    os._exit(0)  # which saves some milliseconds at each end


if __name__ == "__main__":
    main()
