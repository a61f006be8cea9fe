"""The host's end of ``remote.nursery``, which forks kernels: they start sooner than as programs.

A nursery serves one interpreter with one set of the variables that an interpreter reads as it
starts. Where there can be none, or where it fails, kernels are programs as ever.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ...remote import nursery
from .folders import new_name
from .watchdog import Watchdog, spawned, start_ours

log = logging.getLogger("rlm_kernel")
READY_S = 60.0
"""The limit for importing what kernels need."""
FORK_S = 10.0
"""The limit for a fork, on a machine that has much else to do."""
MOST = 2
"""Nurseries at a time; one more takes the place of the oldest."""
LAUNCHERS = ("ipykernel_launcher", "ipykernel")
PYTHON = re.compile(r"python[\d.]*")
OURS = tuple("python" + ".".join(map(str, sys.version_info[:n])) for n in range(3))
"""The names that mean our own interpreter in a kernelspec, by jupyter_client."""
READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "DYLD_", "OMP_", "HOME")
"""Beginnings of the names of variables that are read once, as an interpreter starts."""


class NurseryFailed(Exception):
    """A nursery that does not fork."""


@dataclass(frozen=True)
class Kind:
    """The common ground of a nursery's kernels: how their command lines begin, and the variables of
    ``READ_AT_START``."""

    command: tuple[str, ...]
    variables: frozenset[tuple[str, str]]


def kind_of(argv: Sequence[str], env: Mapping[str, str]) -> Kind | None:
    """Return the kind of nursery that forks kernels of this kernelspec. None where they run
    something else than ipykernel, and where there can be no nursery (outside of Linux)."""
    if not hasattr(os, "pidfd_open") or "-m" not in argv:
        return None
    module = argv.index("-m") + 1
    named = PYTHON.fullmatch(os.path.basename(argv[0]))
    if not named or not set(argv[module : module + 1]) & set(LAUNCHERS):
        return None
    python = sys.executable if argv[0] in OURS else argv[0]
    read = frozenset(item for item in env.items() if item[0].startswith(READ_AT_START))
    return Kind((python, *argv[1 : module - 1]), read)


class ForkedProcess:
    """A watchdog that a nursery has forked. See ``watchdog.Process``."""

    def __init__(self, pid: int, pidfd: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid = pid
        self.stdin: IO[bytes] | None = stdin
        self.stdout: IO[bytes] | None = stdout
        self._pidfd = pidfd

    def __del__(self) -> None:
        os.close(self._pidfd)

    def send_signal(self, sig: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> None:
        """Raises ``subprocess.TimeoutExpired``."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired("a watchdog", timeout or 0.0)


class Nursery:
    """A live nursery. Its methods may be called on any thread, and take their time."""

    def __init__(self, kind: Kind, env: Mapping[str, str]) -> None:
        """Start it, with these variables and those of its kind. Raises ``OSError``."""
        self._lock = threading.Lock()
        self._ready = False
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = start_ours(
                [*kind.command, nursery.__file__],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={**env, **dict(kind.variables)},
            )

    def fork(self, folder: Path) -> Watchdog:
        """Return a new watchdog, which forks its kernel. Raises ``OSError`` where it cannot this
        time, and ``NurseryFailed`` where it cannot at all."""
        theirs_in, stdin = os.pipe()
        stdout, theirs_out = os.pipe()
        ours = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")
        try:
            pid, pidfd = self._forked(folder, theirs_in, theirs_out)
        except (OSError, NurseryFailed) as error:
            for file in ours:
                file.close()
            if isinstance(error, (TimeoutError, ConnectionError)):
                raise NurseryFailed(str(error) or "it does not answer") from error
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return Watchdog(folder, ForkedProcess(pid, pidfd, *ours), forks=True)

    def _forked(self, folder: Path, *given: int) -> tuple[int, int]:
        with self._lock:
            if not self._ready:
                self._asking.settimeout(READY_S)
                self._answer()
                self._ready = True
            self._asking.settimeout(FORK_S)
            socket.send_fds(self._asking, [json.dumps({"folder": str(folder)}).encode()], given)
            answer, descriptors = self._answer()
        return answer["pid"], descriptors[0]

    def _answer(self) -> tuple[dict[str, Any], list[int]]:
        data, descriptors, _, _ = socket.recv_fds(self._asking, 1 << 16, 1)
        if not data:
            raise NurseryFailed("it has ended")
        answer = json.loads(data)
        if "error" in answer:
            raise OSError(answer["error"]) if self._ready else NurseryFailed(answer["error"])
        return answer, descriptors

    @property
    def idle_for_long(self) -> bool:
        """True where it has ended by itself, since nobody had a kernel for long."""
        return self.process.poll() == 0

    def close(self) -> None:
        """Let it end. Returns at once: it waits for the kernels that are still there."""
        with contextlib.suppress(OSError):
            self._asking.shutdown(socket.SHUT_RDWR)
        self._asking.close()
        self.process.send_signal(signal.SIGCONT)  # a cell may have stopped it


class Nurseries:
    """The nurseries of this process. Kernels that none can fork are started as programs."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._alive: dict[Kind, Nursery] = {}
        self._failed: set[Kind] = set()
        self._ending: list[Nursery] = []

    def watchdog(self, folder: Path, kind: Kind | None, env: Mapping[str, str]) -> Watchdog:
        """Return a new watchdog, forked where that can be. ``env`` are variables that all kernels
        may see. Raises ``OSError``."""
        nursery = None if kind is None else self._nursery(kind, env)
        if kind is not None and nursery is not None:
            try:
                return nursery.fork(folder)
            except NurseryFailed as error:
                self._give_up(kind, nursery, error)
                folder = new_name(folder.parent)  # a fork that comes late deletes the other one
            except OSError as error:
                log.debug("a kernel is not forked: %s", error)
        return spawned(folder)

    def _nursery(self, kind: Kind, env: Mapping[str, str]) -> Nursery | None:
        with self._lock:
            self._ending = [one for one in self._ending if one.process.poll() is None]
            if kind in self._failed:
                return None
            if kind in self._alive and self._alive[kind].idle_for_long:
                self._end(kind)
            if kind not in self._alive:
                if len(self._alive) == MOST:
                    self._end(next(iter(self._alive)))
                self._alive[kind] = Nursery(kind, env)
            return self._alive[kind]

    def _give_up(self, kind: Kind, nursery: Nursery, error: NurseryFailed) -> None:
        """Have no such nursery again, which is said once."""
        with self._lock:
            if self._alive.get(kind) is nursery:
                log.warning("kernels are no longer forked, which is quicker: a nursery: %s", error)
                self._failed.add(kind)
                nursery.process.kill()  # it may be stopped
                self._end(kind)

    def _end(self, kind: Kind) -> None:
        nursery = self._alive.pop(kind)
        nursery.close()
        self._ending.append(nursery)

    def close(self) -> None:
        """Let all end, and what is left of their kernels with them, as this process ends."""
        if self.pid == os.getpid():
            with self._lock:
                for kind in list(self._alive):
                    self._end(kind)
                for nursery in self._ending:
                    nursery.process.returncode = 0  # nobody waits for it any more


_nurseries: Nurseries | None = None
_making = threading.Lock()


def nurseries() -> Nurseries:
    """Return this process's nurseries; a forked process has its own."""
    global _nurseries
    with _making:
        if _nurseries is None or _nurseries.pid != os.getpid():
            _nurseries = Nurseries()
            atexit.register(_nurseries.close)
        return _nurseries
