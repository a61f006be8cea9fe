"""What the endpoint of the browser tests replies."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from lab import SECONDS


class Turns:
    """Replies in turn, the last for ever; after ``free`` of them they wait for ``gate``."""

    def __init__(self, *replies: str, free: int | None = None) -> None:
        self.replies = list(replies)
        self.free = len(replies) if free is None else free
        self.withheld = threading.Event()
        self.gate = threading.Event()

    async def __call__(self, request: dict[str, Any]) -> str:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.free -= 1
        if self.free < 0:
            self.withheld.set()
            await asyncio.to_thread(self.gate.wait, SECONDS)
        return reply

    async def wait_until_withheld(self) -> None:
        assert await asyncio.to_thread(self.withheld.wait, SECONDS)
