"""One process of the embedded LM for all who ask it: its weights take gigabytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from ...endings import to_the_end
from .process import EmbeddedServer


class _Shared:
    """The server of one event loop, while anybody uses it."""

    def __init__(self) -> None:
        self._server: EmbeddedServer | None = None
        self._users = 0
        self._changing = asyncio.Lock()

    async def take(self) -> EmbeddedServer:
        async with self._changing:
            if self._server is None:
                server = EmbeddedServer()
                await server.start()
                self._server = server
            self._users += 1
            return self._server

    async def give_back(self) -> None:
        async with self._changing:
            self._users -= 1
            if self._users == 0 and self._server is not None:
                server, self._server = self._server, None
                await server.stop()


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


@asynccontextmanager
async def shared_server() -> AsyncIterator[EmbeddedServer]:
    """The running loop's server: started for the first who asks, ended after the last.

    Raises what ``EmbeddedServer.start`` raises.
    """
    shared = _shared.setdefault(asyncio.get_running_loop(), _Shared())
    server = await shared.take()
    try:
        yield server
    finally:
        await to_the_end(shared.give_back())
