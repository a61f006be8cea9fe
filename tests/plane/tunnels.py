"""Tunnels: ports of this machine that lead to ports inside a sandbox."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import trustme
from modal_proto import api_pb2

from .ports import Port
from .stdio import CHUNK

Connect = Callable[[], Awaitable[socket.socket]]


class Authority:
    """A certificate authority of one plane; ``file`` is what its clients must trust."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.file = folder / "authority.pem"
        authority.cert_pem.write_to_path(str(self.file))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(self.context)


class _Way:
    """One listening port."""

    def __init__(self, connect: Connect, context: ssl.SSLContext | None) -> None:
        self.port = Port()
        self._connect = connect
        self._context = context
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        return bool(self._open)

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, sock=self.port.bound(), ssl=self._context
            )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ways until both have ended; an end on one side only is passed on."""
        ends, complete = [writer], False
        try:
            inside, inner = await asyncio.open_connection(sock=await self._connect())
            ends.append(inner)
            await asyncio.gather(_copy(reader, inner), _copy(inside, writer))
            complete = True
        except OSError:
            return  # nobody listens inside, or a side is gone: the caller's connection closes
        finally:
            for each in ends:
                if complete:
                    each.close()  # what it still holds goes out first
                else:
                    each.transport.abort()

    def cut(self) -> None:
        for task in self._open:
            task.cancel()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()
        if self._open:
            await asyncio.wait(self._open)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:  # TLS has no half-closed state here: the answer is out by now
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Tunnel:
    """The ways to one port of a sandbox: by TLS, and in the clear where that was asked for."""

    def __init__(self, spec: api_pb2.PortSpec, connect: Connect, authority: Authority) -> None:
        self._inner_port = spec.port
        self._encrypted = _Way(connect, authority.context)
        self._clear = _Way(connect, None) if spec.unencrypted else None
        self._gone = False

    @property
    def _ways(self) -> list[_Way]:
        return [way for way in (self._encrypted, self._clear) if way is not None]

    @property
    def busy(self) -> bool:
        return any(way.busy for way in self._ways)

    def data(self) -> api_pb2.TunnelData:
        made = api_pb2.TunnelData(
            host="127.0.0.1", port=self._encrypted.port.number, container_port=self._inner_port
        )
        if self._clear is not None:
            made.unencrypted_host = "127.0.0.1"
            made.unencrypted_port = self._clear.port.number
        return made

    async def open(self) -> None:
        if not self._gone:
            for way in self._ways:
                await way.open()

    def cut(self) -> None:
        for way in self._ways:
            way.cut()

    async def close(self) -> None:
        for way in self._ways:
            await way.close()

    async def end(self) -> None:
        """For good: ``open`` does nothing from now on."""
        self._gone = True
        await self.close()
        for way in self._ways:
            way.port.release()
