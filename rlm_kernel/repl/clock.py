"""The clock of a cell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """A cell's running time. It stands still while the cell's main thread waits for an LM."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._spent = 0.0
        self._since = time.monotonic()
        self._waiting = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        if self._waiting == 0:
            self._spent += time.monotonic() - self._since
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._since = time.monotonic()

    def _left(self) -> float:
        running = 0.0 if self._waiting else time.monotonic() - self._since
        return self._seconds - self._spent - running

    async def expired(self) -> None:
        while (left := self._left()) > 0:
            await asyncio.sleep(max(left, 0.05))
