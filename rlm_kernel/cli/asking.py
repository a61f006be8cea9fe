"""The human at the terminal that a command was typed on, whom cells may ask."""

from __future__ import annotations

import asyncio
import os
import sys

from ..errors import CallRefused
from ..rlm.consent import Decide, Show, typed
from ..rlm.human import NO_REPLY, AskHuman
from .screen import Screen

try:
    import termios
except ImportError:  # on Windows
    termios = None  # type: ignore[assignment]


def human_at(screen: Screen) -> AskHuman | None:
    """Return what asks the human; None where there is no terminal to ask and to type on."""
    show = _shows_at(screen)
    return None if show is None else lambda question: show(f"The LM asks: {question}")


def decides_at(screen: Screen) -> Decide | None:
    """Return what asks the human for cells; None where there is no terminal."""
    show = _shows_at(screen)
    return None if show is None else lambda proposal: typed(proposal, show)


def _shows_at(screen: Screen) -> Show | None:
    if termios is None or sys.stdin is None or not sys.stdin.isatty() or not screen.is_live:
        return None
    terminal = sys.stdin.fileno()

    async def show(text: str) -> str:
        with screen.asking(text):
            termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before is no reply
            line = await _typed(terminal)
        if not line:
            raise CallRefused(NO_REPLY)
        return line.decode("utf-8", "replace").strip("\r\n")

    return show


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
