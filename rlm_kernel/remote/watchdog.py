"""Starts a kernel and ends all that came of it, however its host or the kernel itself ended.

``Watchdog`` starts this same file as a small process of a session of its own: the parent of one
kernel. It is a subreaper (Linux): whatever the kernel starts stays below it, also what has a
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
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
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
def _parents() -> dict[int, int]:
    """Each process and its parent (Linux; elsewhere none are found)."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return found


def _below(roots: set[int]) -> Iterator[int]:
    """Return the living processes below these, without these."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    waiting = [pid for root in roots for pid in children.get(root, ())]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, ())


def _kill(pid: int) -> None:
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
            left = list(_below({os.getpid()}))
            if not left and not (self._kernel and sys.platform != "linux"):
                break
            for pid in left:
                _kill(pid)
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


# -- the host's end -------------------------------------------------------------------------------
class WatchedProcess:
    """A kernel whose parent is a watchdog, with the methods of ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()
        self._waiting: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def end(self, code: int) -> None:
        """Note that it has ended, with this exit code, and tell those who wait."""
        with self._lock:
            if self.returncode is not None:
                return
            self.returncode = code
        self._ended.set()
        for tell in self._waiting:
            tell()

    def when_ended(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` at its end, on whatever thread; at once if it has ended."""
        with self._lock:
            if self.returncode is None:
                self._waiting.append(tell)
                return
        tell()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        self._ended.wait(timeout)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


_ORPHANAGE = threading.Event()
_WATCHDOGS: set[int] = set()
_STARTING = threading.Lock()


def adopt_orphans() -> None:
    """Let this process, whose children are all its own, end what a watchdog leaves that is killed.

    Not for a process that others start processes from. On Linux only.
    """
    if sys.platform == "linux":
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        _ORPHANAGE.set()


def _end_orphans() -> None:
    """End what has become ours. What we start ourselves is a watchdog, or is in our session, which
    no process of a kernel can be in."""
    limit = time.monotonic() + END_S
    with _STARTING:  # a watchdog that is just born looks like an orphan
        while _ORPHANAGE.is_set() and time.monotonic() < limit:
            ours = [pid for pid, parent in _parents().items() if parent == os.getpid()]
            left = {pid for pid in ours if pid not in _WATCHDOGS and _session(pid) != os.getsid(0)}
            if not left:
                return
            for pid in {*left, *_below(left)}:
                _kill(pid)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return os.getsid(0)


class Watchdog:
    """The host's end of one watchdog. Its process lives until ``close``, or until the host ends,
    and deletes ``folder``, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kernel: WatchedProcess | None = None
        self._told: dict[str, Any] = {}
        self._answered = threading.Event()
        self._closing = threading.Lock()
        self._ending = False
        with _STARTING:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={},
                start_new_session=True,
            )
            _WATCHDOGS.add(self._process.pid)
        for work in (self._listen, self._look):
            threading.Thread(target=work, name="rlm-watchdog", daemon=True).start()

    def start(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str | None, log: Path
    ) -> WatchedProcess:
        """Start the kernel; what it writes outside of cells goes to ``log``. Raises ``OSError``."""
        order = {"argv": list(argv), "env": dict(env), "cwd": cwd, "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self._answered.wait()
        if self._kernel is None:
            told = self._told
            raise OSError(
                told.get("errno"), told.get("error", "its watchdog ended"), told.get("path")
            )
        return self._kernel

    def _listen(self) -> None:
        """Take what the process says; at its end the kernel has ended too."""
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                self._told = json.loads(line)
                if "pid" in self._told:
                    self._kernel = WatchedProcess(self._told["pid"])
                elif "code" in self._told and self._kernel is not None:
                    self._kernel.end(self._told["code"])
                self._answered.set()
        if not self._ending:
            self._bury()
        if self._kernel is not None:
            self._kernel.end(-signal.SIGKILL)
        self._answered.set()

    def _bury(self) -> None:
        """End what the watchdog's process has left: somebody has killed it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)  # only then what was below it is ours
        if self._kernel is not None and self._kernel.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._kernel.pid, signal.SIGKILL)
        _end_orphans()

    def _look(self) -> None:
        """End the watchdog's process where somebody has stopped it."""
        if hasattr(os, "waitid"):
            looked = os.WEXITED | os.WSTOPPED | os.WNOWAIT
            with contextlib.suppress(ChildProcessError):  # it was waited for already
                seen = os.waitid(os.P_PID, self._process.pid, looked)
                if seen is not None and seen.si_code in (os.CLD_STOPPED, os.CLD_TRAPPED):
                    self.close()

    def close(self) -> None:
        """Return when the kernel, what it started and the folder are gone."""
        with self._closing:
            if self._ending:
                return
            self._ending = True
            self._process.send_signal(signal.SIGCONT)
            assert self._process.stdin is not None
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(2 * END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            _WATCHDOGS.discard(self._process.pid)
            shutil.rmtree(self._folder, ignore_errors=True)


if __name__ == "__main__":
    main()
