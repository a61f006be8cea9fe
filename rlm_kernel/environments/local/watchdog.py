"""The host's end of ``remote.watchdog``, the parent of one kernel's process.

That is a program of its own here; ``nursery`` has one that is forked, with its kernel.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from ...remote import watchdog
from ...remote.watchdog import END_S, PR_SET_CHILD_SUBREAPER, below, kill, parents, prctl

START_S = 60.0


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
        """Note that it has ended."""
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
_OURS: set[int] = set()
"""The processes that live until we end them, each in a session of its own."""
_STARTING = threading.Lock()


def adopt_orphans() -> None:
    """Let this process, whose children are all its own, end what a watchdog leaves that is killed.

    Not for a process that others start processes from. On Linux only.
    """
    if sys.platform == "linux":
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        _ORPHANAGE.set()


def _end_orphans() -> None:
    """End what has become ours. What we start ourselves is known, or is in our session, which no
    process of a kernel can be in."""
    limit = time.monotonic() + END_S
    with _STARTING:  # what is just born looks like an orphan
        while _ORPHANAGE.is_set() and time.monotonic() < limit:
            ours = [pid for pid, parent in parents().items() if parent == os.getpid()]
            left = {pid for pid in ours if pid not in _OURS and _session(pid) != os.getsid(0)}
            if not left:
                return
            for pid in {*left, *below(left)}:
                kill(pid)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return os.getsid(0)


def start_ours(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process that lives until we end it, in a session of its own. ``options`` are those of
    ``Popen``. Raises ``OSError``."""
    with _STARTING:
        process = subprocess.Popen(argv, start_new_session=True, **options)
        _OURS.add(process.pid)
    return process


class Process(Protocol):
    """A watchdog's process: ``subprocess.Popen``, as far as it is in use here."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> object: ...


def spawned(folder: Path) -> Watchdog:
    """Return a watchdog that is a program. Raises ``OSError``."""
    process = start_ours(
        [sys.executable, "-I", "-S", watchdog.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={},
    )
    return Watchdog(folder, process, forks=False)


class Watchdog:
    """The host's end of one watchdog. Its process lives until ``close``, or until the host ends,
    and deletes ``folder``, which need not be there yet. It starts its kernel's program, or
    ``forks`` the kernel."""

    def __init__(self, folder: Path, process: Process, *, forks: bool) -> None:
        self.folder = folder
        self._process = process
        self._forks = forks
        self._kernels: dict[int, WatchedProcess] = {}
        """By process id the kernel, and those before it that have not ended yet."""
        self._newest: WatchedProcess | None = None
        self._over = False
        self._told: dict[str, Any] = {}
        self._answered = threading.Event()
        self._closing = threading.Lock()
        self._ordering = threading.Lock()
        self._ending = False
        _OURS.add(process.pid)
        for work in (self._listen,) if forks else (self._listen, self._look):
            threading.Thread(target=work, name="rlm-watchdog", daemon=True).start()

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: str | None,
        log: Path,
        *,
        may_fork: bool = True,
        pipe: Path | None = None,
    ) -> WatchedProcess:
        """Start the kernel; what it writes outside of cells goes to ``log``. Raises ``OSError``.

        ``may_fork`` says that this command line and these variables are of the nursery's kind.
        ``pipe`` is a unix socket that its standard input and output are connected to.
        """
        order = {
            "argv": list(argv),
            "env": dict(env),
            "cwd": os.path.abspath(cwd or "."),  # a nursery's is another one than ours
            "log": str(log),
            "pipe": None if pipe is None else str(pipe),
            "forked": self._forks and may_fork,
        }
        return self._ordered(order)

    def adopt(self, pid: int, keep: Sequence[int] | None) -> WatchedProcess:
        """Take a fork of the kernel for the kernel from now on: that one ends with all that it
        started, but for the frozen forks to ``keep``. Without any it is a kernel beside the others.
        Raises ``OSError``."""
        return self._ordered({"adopt": pid, "keep": keep})

    def _ordered(self, order: Mapping[str, Any]) -> WatchedProcess:
        """Return the process that came of an order. Raises ``OSError``."""
        with self._ordering:
            return self._order(order)

    def _order(self, order: Mapping[str, Any]) -> WatchedProcess:
        self._answered.clear()
        self._told, self._newest = {}, None
        if self._over:
            raise OSError("its watchdog ended")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answered = self._answered.wait(START_S)
        if self._newest is None:
            told = self._told if answered else {"error": f"no answer in {START_S:g} s"}
            raise OSError(
                told.get("errno"), told.get("error", "its watchdog ended"), told.get("path")
            )
        return self._newest

    def _listen(self) -> None:
        """Note what the process says; at its end the kernel has ended too."""
        try:
            self._note_all()
        finally:  # also where it cannot be understood
            if not self._ending:
                self._bury()
            self._over = True
            for kernel in list(self._kernels.values()):
                kernel.end(-signal.SIGKILL)
            self._answered.set()

    def _note_all(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                told = json.loads(line)
                if "ended" in told:
                    self._kernels.pop(told["ended"]).end(told["code"])
                    continue
                if "pid" in told:
                    self._newest = WatchedProcess(told["pid"])
                    self._kernels[told["pid"]] = self._newest
                self._told = told
                self._answered.set()

    def _bury(self) -> None:
        """End what it has left, since somebody killed it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)  # only then what was below it is ours
        for pid in list(self._kernels):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        _end_orphans()

    def _look(self) -> None:
        """See that somebody has stopped it, and end it. (A nursery does that for its own.)"""
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
                self._process.wait(2 * END_S)
            _OURS.discard(self._process.pid)
            shutil.rmtree(self.folder, ignore_errors=True)
