"""How requests wait for one another; what they are told is tried by the browser tests."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tornado.web import HTTPError

from rlm_kernel.server.commands import CommandFailed
from rlm_kernel.server.handlers import MOST_WAITING, Desk

pytestmark = pytest.mark.anyio


async def test_one_request_is_answered_at_a_time_and_too_many_are_sent_away() -> None:
    desk, gate, at_once, most = Desk(), threading.Event(), [0], [0]

    def work() -> None:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        gate.wait(10)
        at_once[0] -= 1

    waiting = [asyncio.ensure_future(desk.read(work)) for _ in range(MOST_WAITING)]
    last = asyncio.ensure_future(desk.read(work))
    with pytest.raises(HTTPError, match="503"):
        await last
    gate.set()
    await asyncio.gather(*waiting)
    assert most == [1]
    await desk.read(work)  # there is room again


async def test_a_command_that_fails_is_told_and_holds_up_no_other() -> None:
    desk = Desk()

    async def fails() -> bytes:
        raise CommandFailed("no such run")

    async def works() -> bytes:
        return b"page"

    with pytest.raises(HTTPError, match="no such run"):
        await desk.command(fails)
    assert await desk.command(works) == b"page"
