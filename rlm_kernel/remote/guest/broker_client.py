"""The guest's connections to the broker; ``wire`` has the format."""

import asyncio
import collections
import contextlib
import os
import socket
import threading
import weakref

from .wire import HEADER, pack, unpack_header

REFUSED = (BrokenPipeError, ConnectionResetError)
"""The host takes no more of a call; its reply, which can still be read, says why."""


class BrokerClient:
    """Connections to the broker: one for each request in flight, kept for the next.

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

    def renew(self, address, token):
        """Be the one of another kernel, which this process has become."""
        self._address, self._token = address, token
        self._home, self._pid = os.getpid(), None
        self._reset()

    def _reset(self):
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._idle: collections.deque = collections.deque()
            self._slots = threading.BoundedSemaphore(self.LIMIT)

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
        with self._slots:
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
        """Return a kept connection, if the host, which may end silent ones, has left one."""
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
        """Do the same on the kernel's event loop; cancelling the task cancels the request."""
        loop = asyncio.get_running_loop()
        slots = self._loops.get(loop)
        if slots is None:
            slots = self._loops[loop] = asyncio.Semaphore(self.LIMIT)
        async with slots:
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
