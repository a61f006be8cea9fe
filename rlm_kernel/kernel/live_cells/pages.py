"""The pages that have opened the comm, and what is on its way to them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...environments.messages import Message
from .shown import PROTOCOL

TARGET = "rlm.ui"
MOST_PAGES = 16
MOST_CHARS = 2_000_000
"""The longest message of a page that is read."""
PERIOD_S = 0.05
"""Between two sendings at least."""
CHARS_A_SECOND = 2_000_000
"""The rate at which pages are sent what changes again and again."""

Send = Callable[[str, dict[str, Any], Message], None]
Told = dict[str, Any]
"""What a page is sent, or what it sends: JSON data with a ``type``."""


@dataclass
class Page:
    """One open comm; a reload of the same ``tab`` takes its place."""

    comm: str
    tab: str
    opened: Message


class Pages:
    """Takes the comm's messages and sends operations, a few times a second at most: of what
    changed in between each page gets the latest."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._open: dict[str, Page] = {}
        self._due: dict[str, Callable[[], Told]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rests_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._open)

    def takes(self, request: Message) -> bool:
        """Return whether a comm's message is for us."""
        content = request["content"]
        ours = content.get("target_name") == TARGET
        return ours if request["msg_type"] == "comm_open" else content["comm_id"] in self._open

    def open(self, request: Message) -> Page | None:
        """Take a page that opened the comm; None for one of another version, which is told so."""
        data, comm = _data(request), request["content"]["comm_id"]
        page = Page(comm, str(data.get("tab") or comm)[:100], request)
        if data.get("version") != PROTOCOL:
            self._to(page, {"type": "refused", "version": PROTOCOL})
            return None
        self._open = {c: known for c, known in self._open.items() if known.tab != page.tab}
        self._open[comm] = page
        while len(self._open) > MOST_PAGES:
            del self._open[next(iter(self._open))]
        return page

    def page(self, request: Message) -> Page:
        """Return the page that sent a message which is ours."""
        return self._open[request["content"]["comm_id"]]

    def close(self, request: Message) -> None:
        self._open.pop(request["content"]["comm_id"], None)

    # to pages
    def tell(self, told: Told, page: Page | None = None) -> None:
        """Send this to a page, or to all of them, behind what is due."""
        self.flush()
        for each in self._open.values() if page is None else [page]:
            self._to(each, told)

    def put(self, key: str, latest: Callable[[], Told]) -> None:
        """Let all pages have the ``latest`` of what this key names, soon."""
        self._due[key] = latest
        loop = asyncio.get_running_loop()
        if loop.time() >= self._rests_until:
            self.flush()
        elif self._timer is None:
            self._timer = loop.call_at(self._rests_until, self.flush)

    def flush(self) -> None:
        """Send what is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due, self._due = self._due, {}
        size = 0
        for latest in due.values() if self._open else ():
            told = latest()
            size += _size(told)
            for page in self._open.values():
                self._to(page, told)
        if due:
            rest = max(PERIOD_S, size / CHARS_A_SECOND)
            self._rests_until = asyncio.get_running_loop().time() + rest

    def _to(self, page: Page, told: Told) -> None:
        self._send("comm_msg", {"comm_id": page.comm, "data": told}, page.opened)


def read(request: Message) -> Told:
    """Return what a page says; nothing where that is too long or no object."""
    data = _data(request)
    return data if _size(data) <= MOST_CHARS else {}


def _data(request: Message) -> Told:
    data = request["content"].get("data")
    return data if isinstance(data, dict) else {}


def _size(told: Told) -> int:
    return len(json.dumps(told, default=str))
