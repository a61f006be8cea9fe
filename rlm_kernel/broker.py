"""The broker: the host's end of the calls that cells make.

It serves one node's kernel over a unix socket in the node's folder (or TCP with a token where
there are none). What a request means is decided by the ``Answerer`` it is given, so that
recursion, replay and tests are other answerers and not other brokers. Everything that comes in is
untrusted: frames are bounded, the token is compared in constant time, a malformed request ends its
connection.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from . import guest

log = logging.getLogger(__name__)
MAX_PAYLOAD = 1 << 32
TOKEN_FRAME = 1024


@dataclass(frozen=True)
class Request:
    """One call from a cell. ``header`` is what the guest wrote, unchecked beyond being a dict."""

    header: dict[str, Any]
    payload: bytes

    @property
    def op(self) -> str:
        return str(self.header.get("op"))


class Answerer(Protocol):
    """Decides what a call from a cell gets."""

    async def answer(self, request: Request) -> dict[str, Any]:
        """The reply: ``{"value": ...}`` or ``{"error": {"type", "message", ...}}``.

        Cancelled when the caller hangs up. Must not raise for anything the guest may send.
        """
        ...


@dataclass(frozen=True)
class Address:
    """Where the guest finds the broker: a socket's path, or host and port; and its token."""

    where: str | tuple[str, int]
    token: str


async def _read_frame(
    reader: asyncio.StreamReader, max_header: int, max_payload: int
) -> tuple[dict[str, Any], bytes]:
    head, extra = guest.HEADER.unpack(await reader.readexactly(guest.HEADER.size))
    if head > max_header or extra > max_payload:
        raise ValueError(f"a frame of {head} + {extra} bytes")
    header = guest.unpack_header(await reader.readexactly(head))
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header, await reader.readexactly(extra)


class _Session:
    """One connection: a token, then one request after another."""

    def __init__(self, token: str, answerer: Answerer) -> None:
        self._token = token
        self._answerer = answerer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello, _ = await _read_frame(reader, TOKEN_FRAME, 0)
            if not hmac.compare_digest(str(hello.get("token")).encode(), self._token.encode()):
                log.warning("a connection with a wrong token was refused")
                return
            while True:
                header, payload = await _read_frame(reader, guest.MAX_HEADER, MAX_PAYLOAD)
                reply = await self._answer_or_cancel(Request(header, payload), reader)
                if reply is None:
                    return
                writer.write(guest.pack(reply))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the cell hung up or its kernel ended
        except (ValueError, RecursionError) as error:
            log.warning("a malformed request was refused: %s", error)
        finally:
            writer.close()

    async def _answer_or_cancel(
        self, request: Request, reader: asyncio.StreamReader
    ) -> dict[str, Any] | None:
        """The reply, or None when the caller hung up first."""
        answering = asyncio.ensure_future(self._answerer.answer(request))
        hangup = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answering, hangup}, return_when=asyncio.FIRST_COMPLETED)
            return answering.result() if answering.done() else None
        finally:
            for task in (answering, hangup):
                task.cancel()
            await asyncio.gather(answering, hangup, return_exceptions=True)


@asynccontextmanager
async def serve(folder: Path, answerer: Answerer) -> AsyncIterator[Address]:
    """Serve one node's calls until the body ends; then its token is worth nothing."""
    token = secrets.token_urlsafe(24)
    session = _Session(token, answerer)
    tasks: set[asyncio.Task[None]] = set()

    # Not a coroutine: asyncio's own task for one logs a traceback when it is cancelled.
    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(session.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    limit = 1 << 22
    where: str | tuple[str, int]
    if sys.platform != "win32" and hasattr(socket, "AF_UNIX"):
        path = folder / "broker.sock"
        server = await asyncio.start_unix_server(connected, path, limit=limit)
        path.chmod(0o600)
        where = str(path)
    else:
        server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=limit)
        where = ("127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        yield Address(where, token)
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
