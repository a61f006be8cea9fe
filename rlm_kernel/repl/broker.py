"""The broker: the host's end of the calls that cells make.

It serves one node's kernel over a unix socket in the node's folder (or TCP with a token where
there are none). What a request means is decided by the ``Answerer`` it is given, so that
recursion, replay and tests are other answerers and not other brokers. Everything that comes in is
untrusted: ``frames`` bounds what it takes, the token is compared in constant time, a malformed
request ends its connection, and where there are too many, the one that has been silent longest
gives way.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..environments.live_kernel import BrokerAddress
from .frames import Ended, Frames, Payload, RefusedFrame, TooLarge, Wire, read_greeting

log = logging.getLogger(__name__)
MAX_CONNECTIONS = 64
BACKLOG = 256
HELLO_S = 10.0
"""So long a connection has to show its token."""
SILENT_S = 1.0
ACCEPT_S = 1.0
"""After a lack of descriptors, whose end the system does not tell."""


@dataclass(frozen=True)
class Request:
    """One call from a cell. ``header`` is what the guest wrote, unchecked beyond being a dict.
    The payload lasts until the call is answered."""

    header: dict[str, Any]
    payload: Payload = field(default_factory=Payload)

    @property
    def op(self) -> str:
        return str(self.header.get("op"))


class Answerer(Protocol):
    """Decides what a call from a cell gets."""

    def takes(self, header: dict[str, Any]) -> int:
        """Return how many bytes of payload a call may bring. Must not raise."""
        ...

    async def answer(self, request: Request) -> dict[str, Any]:
        """Return the reply: ``{"value": ...}`` or ``{"error": {"type", "message", ...}}``.

        Cancelled when the caller hangs up. Must not raise for anything the guest may send.
        """
        ...


class _Connection:
    """A token, then one request after another."""

    def __init__(self, node: _Node, sock: socket.socket) -> None:
        self._node = node
        self._wire = Wire(sock, self._heard)
        self.answering = False
        self._heard()

    def _heard(self) -> None:
        self.heard = time.monotonic()

    async def serve(self) -> None:
        try:
            await self._greet()
            while True:
                await self._serve_one()
        except (Ended, ConnectionError):
            return  # the cell hung up or its kernel ended
        except TimeoutError:
            self._node.complain("a call came too slowly, or its answer was not taken")
        except (ValueError, RecursionError) as error:
            self._node.complain(f"a malformed request was refused: {error}")

    def close(self) -> None:
        self._wire.close()

    async def _greet(self) -> None:
        async with asyncio.timeout(HELLO_S):
            hello = await read_greeting(self._wire)
        if not hmac.compare_digest(str(hello.get("token")).encode(), self._node.token.encode()):
            raise ValueError("a wrong token")

    async def _serve_one(self) -> None:
        try:
            async with self._node.frames.next(self._wire) as (header, payload):
                self.answering = True
                reply = await self._answer_or_cancel(Request(header, payload))
        except RefusedFrame as refused:
            reply = _refusal(str(refused))
        except TooLarge as error:
            await self._wire.send(_refusal(str(error)))
            raise
        await self._wire.send(reply)
        self.answering = False
        self._node.make_room()

    async def _answer_or_cancel(self, request: Request) -> dict[str, Any]:
        """Return the reply. Raises ``Ended`` where the caller hung up first."""
        answering = asyncio.ensure_future(self._node.answerer.answer(request))
        hangup = asyncio.ensure_future(self._wire.hung_up())
        try:
            await asyncio.wait({answering, hangup}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
            raise Ended
        finally:
            for task in (answering, hangup):
                task.cancel()
            await asyncio.gather(answering, hangup, return_exceptions=True)


def _refusal(message: str) -> dict[str, Any]:
    return {"error": {"type": "CallRefused", "message": message}}


class _Node:
    """The connections of one node, ``MAX_CONNECTIONS`` at a time; others wait."""

    def __init__(self, folder: Path, answerer: Answerer, listener: socket.socket) -> None:
        self.token = secrets.token_urlsafe(24)
        self.answerer = answerer
        self.frames = Frames(folder, answerer.takes)
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._next: socket.socket | None = None
        self._complained = False
        self._listen()

    def complain(self, what: str) -> None:
        """Log what a guest did wrong, the first time: it may do so a million times."""
        if not self._complained:
            self._complained = True
            log.warning("calls of a kernel were refused; of more nothing is said: %s", what)

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        # Not asyncio's own server: without descriptors it logs a hundred tracebacks a second.
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            self.complain(f"no connection can be taken: {error.strerror}")
            self._loop.remove_reader(self._listener)
            self._loop.call_later(ACCEPT_S, self._listen)
            return
        if len(self._connections) < MAX_CONNECTIONS:
            self._serve(sock)
            return
        self._next = sock
        self._loop.remove_reader(self._listener)
        self.make_room()

    def _serve(self, sock: socket.socket) -> None:
        connection = _Connection(self, sock)
        task = asyncio.ensure_future(connection.serve())
        self._connections[task] = connection
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).close()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a fault of rlm_kernel ended a connection", exc_info=error)
        sock, self._next = self._next, None
        if sock is not None:
            self._serve(sock)
            self._listen()

    def make_room(self) -> None:
        """End the connection that has been silent longest, for ``SILENT_S`` at least, where another
        one waits. What it sent may be on its way; those that wait for us are not silent."""
        silent = [(c.heard, task) for task, c in self._connections.items() if not c.answering]
        if self._next is None or not silent:
            return
        heard, task = min(silent, key=lambda item: item[0])
        left = heard + SILENT_S - time.monotonic()
        if left > 0:
            self._loop.call_later(left, self.make_room)
        else:
            task.cancel()

    async def close(self) -> None:
        self._loop.remove_reader(self._listener)
        self._listener.close()
        if self._next is not None:
            self._next.close()
            self._next = None
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _listen(folder: Path) -> tuple[socket.socket, str | tuple[str, int]]:
    where: str | tuple[str, int]
    if sys.platform != "win32" and hasattr(socket, "AF_UNIX"):
        listener, where = socket.socket(socket.AF_UNIX), str(folder / "broker.sock")
        listener.bind(where)
        Path(where).chmod(0o600)
    else:
        listener = socket.create_server(("127.0.0.1", 0))
        where = ("127.0.0.1", listener.getsockname()[1])
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener, where


@asynccontextmanager
async def serve(folder: Path, answerer: Answerer) -> AsyncIterator[BrokerAddress]:
    """Serve one node's calls until the body ends; then its token is worth nothing."""
    listener, where = _listen(folder)
    node = _Node(folder, answerer, listener)
    try:
        yield BrokerAddress(where, node.token)
    finally:
        await node.close()
