"""How long the plane's answers take on top of its own work."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Literal

Kind = Literal["create", "exec", "stdio", "other"]


@dataclass(frozen=True)
class Latency:
    """Seconds added to an answer by its kind: to a sandbox's creation, to the start of an exec, to
    each write to a stdin and each output that a reader waited for, and to all else.

    ``jitter`` is the share by which each may be longer: 0.5 gives 1.0 to 1.5 times the seconds, the
    same ones for the same ``seed``. Output that lies ready is not held up: a latency is no
    limit of bandwidth.
    """

    create: float = 0.0
    exec: float = 0.0
    stdio: float = 0.0
    other: float = 0.0
    jitter: float = 0.0
    seed: int = 0


class Delays:
    """A latency being spent: it draws the jitter."""

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._random = random.Random(latency.seed)

    async def wait(self, kind: Kind) -> None:
        seconds: float = getattr(self._latency, kind)
        if seconds:
            await asyncio.sleep(seconds * (1 + self._latency.jitter * self._random.random()))
