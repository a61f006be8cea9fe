"""The human at the terminal that a command was typed on, whom cells may ask."""

from __future__ import annotations

import asyncio
import os
import sys

from ..errors import CallRefused
from ..rlm.human import NO_REPLY, AskHuman
from .screen import Screen

try:
    import termios
except ImportError:  # on Windows
    termios = None  # type: ignore[assignment]


def human_at(screen: Screen) -> AskHuman | None:
    """Return what asks the human; None where there is no terminal to ask and to type on."""
    if termios is None or sys.stdin is None or not sys.stdin.isatty() or not screen.is_live:
        return None
    terminal = sys.stdin.fileno()

    async def ask(question: str) -> str:
        with screen.asking(question):
            termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before is no reply
            line = await _typed(terminal)
        if not line:
            raise CallRefused(NO_REPLY)
        return line.decode("utf-8", "replace").strip()

    return ask


async def _typed(terminal: int) -> bytes:
    """Return the line that is typed next; empty where input has ended."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def take() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(terminal, take)
    try:
        await ready
    finally:
        loop.remove_reader(terminal)
    return os.read(terminal, 1 << 16)  # a terminal gives a whole line, or nothing
