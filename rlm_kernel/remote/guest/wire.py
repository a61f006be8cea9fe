"""The line from a cell to the broker.

Wire format, both ways: 4 bytes header length, 8 bytes payload length (big endian), the header as
JSON in UTF-8 with surrogates passed through, the payload as it is. A connection carries one
request at a time; closing it cancels the request.
"""

import asyncio
import collections
import contextlib
import json
import os
import socket
import struct
import threading
import weakref

from .errors import CallRefused

HEADER = struct.Struct(">IQ")
MAX_HEADER = 1 << 26
MAX_PAYLOAD = 1 << 28
REFUSED = (BrokenPipeError, ConnectionResetError)
"""The host takes no more of a call; its reply, which can still be read, says why."""


def pack(header: dict, payload: bytes = b"") -> bytes:
    """A frame; see the module's docstring. Raises ``CallRefused`` if it is too large."""
    data = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    for size, most, what in (
        (len(data), MAX_HEADER, "bytes"),
        (len(payload), MAX_PAYLOAD, "bytes of contexts"),
    ):
        if size > most:
            raise CallRefused(
                "one call may carry %s %s, this one has %s: make several calls"
                % (format(most, ","), what, format(size, ","))
            )
    return HEADER.pack(len(data), len(payload)) + data + payload


def unpack_header(data: bytes) -> object:
    return json.loads(data.decode("utf-8", "surrogatepass"))


class Line:
    """Connections to the broker: one a request in flight, kept for the next.

    A forked process makes its own, or two processes would read each other's replies, and keeps
    none. At most ``LIMIT`` calls are on the wire by threads, and as many by tasks of an event loop;
    more wait here, as the host serves few connections at a time.
    """

    LIMIT = 60

    def __init__(self, address, token):
        self._address = address
        self._token = token
        self._home = os.getpid()
        self._pid = None
        self._loops: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
        self._reset()

    def _reset(self):
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._idle: collections.deque = collections.deque()
            self._places = threading.BoundedSemaphore(self.LIMIT)

    def _connect(self):
        if isinstance(self._address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(self._address)
        else:
            sock = socket.create_connection(tuple(self._address))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(pack({"token": self._token}))
        return sock

    def ask(self, header, payload=b""):
        """Send a request and wait for its reply. Any exception on the way cancels it."""
        self._reset()
        with self._places:
            sock = self._kept() or self._connect()
            try:
                with contextlib.suppress(*REFUSED):
                    sock.sendall(pack(header, payload))
                size, extra = HEADER.unpack(_read(sock, HEADER.size))
                reply = unpack_header(_read(sock, size))
                _read(sock, extra)
            except BaseException:
                sock.close()
                raise
            if self._pid == self._home:
                self._idle.append(sock)
            else:
                sock.close()
        return reply

    def _kept(self):
        """A connection that is there still; the host may have ended one that was silent."""
        with contextlib.suppress(IndexError):
            while True:
                sock = self._idle.pop()
                try:
                    sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return sock
                except OSError:
                    pass  # as if it had ended
                sock.close()
        return None

    async def ask_aio(self, header, payload=b""):
        """The same for code on the kernel's event loop; cancelling the task cancels the request."""
        loop = asyncio.get_running_loop()
        places = self._loops.get(loop)
        if places is None:
            places = self._loops[loop] = asyncio.Semaphore(self.LIMIT)
        async with places:
            return await self._ask_aio(header, payload)

    async def _ask_aio(self, header, payload):
        self._reset()
        kept, greeting = self._kept(), b""
        if kept is not None:
            reader, writer = await asyncio.open_connection(sock=kept)
        else:
            greeting = pack({"token": self._token})
            if isinstance(self._address, str):
                reader, writer = await asyncio.open_unix_connection(self._address)
            else:
                reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(greeting + pack(header, payload))
            with contextlib.suppress(*REFUSED):
                await writer.drain()
            size, extra = HEADER.unpack(await reader.readexactly(HEADER.size))
            reply = unpack_header(await reader.readexactly(size))
            await reader.readexactly(extra)
            return reply
        finally:
            writer.close()


def _read(sock, size):
    chunks = []
    while size:
        chunk = sock.recv(min(size, 1 << 20))
        if not chunk:
            raise ConnectionError("the host of this kernel is gone")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
