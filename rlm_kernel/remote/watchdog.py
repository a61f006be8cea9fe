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
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36
END_S = 5.0
"""So long what a kernel started is killed again and again; it may fork meanwhile."""


def prctl(option: int, value: int | bytes) -> None:
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

    def __init__(self, folder: str, host: int | None) -> None:
        self._folder = folder
        self._host = host
        self._kernels: set[int] = set()
        """The kernel, and those before it whose end was not told yet."""
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def run(self) -> dict[str, Any] | None:
        """Do as the host orders until it is gone. In a kernel's process that is forked meanwhile,
        return the order for it."""
        orders, watched = b"", [0, self._woken]
        if self._host is not None:  # a process that the host forked may hold our input open
            watched.append(self._host)
        while True:
            ready = select.select(watched, [], [])[0]
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            elif 0 in ready and (more := os.read(0, 1 << 16)):
                *whole, orders = (orders + more).split(b"\n")
                for order in map(json.loads, whole):
                    if self._done(order):
                        return dict(order)
            else:
                return None

    def _done(self, order: dict[str, Any]) -> bool:
        """Do as ordered. Returns True in the kernel's own process, where that is forked."""
        if "adopt" not in order:
            return self._start(order)
        self._adopt(order["adopt"], order["keep"])
        return False

    def _adopt(self, pid: int, kept: list[int] | None) -> None:
        """Take a fork of the kernel, which has become our child, for the kernel from now on. What
        there was before, and all that it started, ends, but for the frozen forks ``kept``; where
        that is None it is a kernel beside the others, and nothing ends."""
        if parents().get(pid) != os.getpid():
            self._say(error=f"process {pid} is no fork of the kernel")
            return
        self._kernels.add(pid)
        if kept is not None:
            for other in set(below({os.getpid()})) - {pid, *kept, *below({pid})}:
                kill(other)
        self._say(pid=pid)

    def _start(self, order: dict[str, Any]) -> bool:
        """Start the kernel. Returns True in the kernel's own process, where that is forked."""
        start = self._fork if order["forked"] else self._spawn
        try:
            pid = start(order, os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        except OSError as error:
            path = None if error.filename is None else os.fsdecode(error.filename)
            self._say(errno=error.errno, error=error.strerror, path=path)
            return False
        if pid:
            self._kernels.add(pid)
            self._say(pid=pid)
        return not pid

    def _spawn(self, order: dict[str, Any], log: int) -> int:
        with socket.socket(socket.AF_UNIX) as pipe:
            if order["pipe"] is not None:
                pipe.connect(order["pipe"])
            process = subprocess.Popen(
                order["argv"],
                cwd=order["cwd"],
                env={**order["env"], "JPY_PARENT_PID": str(os.getpid())},
                stdin=subprocess.DEVNULL if order["pipe"] is None else pipe.fileno(),
                stdout=log if order["pipe"] is None else pipe.fileno(),
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        os.close(log)
        process.returncode = 0  # it is reaped with all others
        return process.pid

    def _fork(self, order: dict[str, Any], log: int) -> int:
        """Return 0 in the kernel's process, which has no descriptor of ours left but the log's."""
        watchdog, cwd = os.getpid(), os.open(order["cwd"], os.O_RDONLY | os.O_DIRECTORY)
        pid = os.fork()
        if pid:
            os.close(cwd)
            os.close(log)
            return pid
        _die_with_parent()
        if os.getppid() != watchdog:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.fchdir(cwd)
        for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
            os.dup2(source, target)
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(int(name) if int(name) > 2 else -1)
        prctl(PR_SET_DUMPABLE, 1)  # as a program of its own is, which a debugger may trace
        prctl(PR_SET_NAME, b"ipykernel")
        return 0

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
                if pid in self._kernels:
                    self._kernels.discard(pid)
                    self._say(ended=pid, code=_exit_code(status))

    def end(self) -> None:
        """End the kernel and all that is below us, and delete the folder."""
        for kernel in self._kernels:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(kernel, signal.SIGKILL)
        limit = time.monotonic() + END_S
        while time.monotonic() < limit:
            self._reap()
            left = list(below({os.getpid()}))
            if not left and not (self._kernels and sys.platform != "linux"):
                break
            for pid in left:
                kill(pid)
            select.select([self._woken], [], [], 0.01)
        shutil.rmtree(self._folder, ignore_errors=True)


def _die_with_parent() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def pidfd(pid: int) -> int | None:
    """Return a descriptor that can be read from at the end of a process, where there are such."""
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # an older kernel than Python was built for
            return os.pidfd_open(pid)
    return None


def serve(folder: str, host: int | None) -> dict[str, Any] | None:
    """Be the watchdog until its end; return None then. ``host`` can be read from at the host's end.
    In a kernel's process that is forked meanwhile, return the order for it."""
    prctl(PR_SET_DUMPABLE, 0)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_NAME, b"rlm-watchdog")
    keeper = _Keeper(folder, host)
    order = None
    try:
        order = keeper.run()
    finally:
        if order is None:
            keeper.end()
    return order


if __name__ == "__main__":
    serve(sys.argv[1], pidfd(os.getppid()))
    os._exit(0)  # which saves some milliseconds at each end
