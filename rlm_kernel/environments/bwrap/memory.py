"""The bound on a sandbox's memory: the machine is looked at some times a second.

A control group would hold it exactly, but an ordinary user has none to give. What a process keeps
in the buffers of its sockets and pipes is not seen.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

LOOK_SECONDS = 0.2
LATELY_SECONDS = 10.0
REST = 20
"""So many times as long as it took nothing is counted again, but where there is much more."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryBound:
    """Ends processes below ``root`` while all of them together have more than ``most`` bytes, in
    the order in which the machine itself would: the largest first, frozen forks before it."""

    def __init__(self, root: int, most: int) -> None:
        self._root = root
        self._most = most
        self._ended_at: float | None = None
        self._again_at = 0.0
        self._enough = 0
        """The bytes of pages from which on it is to be counted rightly before that time too."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="rlm-memory", daemon=True)
        self._thread.start()

    @property
    def lately(self) -> bool:
        """True where a process was ended a moment ago."""
        return self._ended_at is not None and time.monotonic() - self._ended_at < LATELY_SECONDS

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            below = list(_below(self._root))
            # Pages that processes share are counted for each of them: quick, and too much.
            pages = sum(map(_resident, below))
            if pages > self._most and (time.monotonic() > self._again_at or pages > self._enough):
                self._hold(below, pages)

    def _hold(self, below: list[int], pages: int) -> None:
        """Count rightly, which takes its time for large processes, and end as many as it takes."""
        began = time.monotonic()
        used = {pid: _share(pid) for pid in below}
        total = sum(used.values())
        self._again_at = began + REST * (time.monotonic() - began)
        self._enough = pages + self._most - total
        for pid in sorted(below, key=lambda pid: self._badness(pid, used[pid]), reverse=True):
            if total <= self._most:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            self._ended_at = time.monotonic()
            total -= used[pid]

    def _badness(self, pid: int, used: int) -> float:
        return used + self._most * _number(pid, "oom_score_adj") / 1000


def _below(pid: int) -> Iterator[int]:
    """Yield the processes that this one started, and those that they did."""
    waiting = [pid]
    while waiting:
        pid = waiting.pop()
        with suppress(OSError):  # it has ended
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                    started = [int(child) for child in file.read().split()]
                yield from started
                waiting += started


def _resident(pid: int) -> int:
    """Return the bytes of its pages that are in memory."""
    return _number(pid, "statm", 1) * PAGE


def _number(pid: int, name: str, index: int = 0) -> int:
    with suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
        return int(file.read().split()[index])
    return 0


def _share(pid: int) -> int:
    """Return its bytes in memory, where a page of several processes counts as a part for each."""
    with suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    return _resident(pid)
