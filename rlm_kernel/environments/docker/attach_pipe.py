"""The byte pipe to a relay in a container: the engine's attach connection."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

STDOUT, STDERR = 1, 2
READ = 1 << 18
STDERR_KEPT = 1 << 14


class DockerPipe:
    """The relay's standard input and output over the engine's attach connection.

    Closing it ends the relay, and with the relay the container. ``find_reason`` is asked when it
    ended without being closed.
    """

    def __init__(self, attached: Any, find_reason: Callable[[], str]) -> None:
        self._find_reason = find_reason
        self._attached = attached  # let go, it would close the socket
        self._socket: Any = getattr(attached, "_sock", attached)
        self._socket.settimeout(None)
        self._rest = bytearray()
        self._closed = threading.Event()
        self.stderr = b""
        """The end of what the relay wrote there."""
        self.reason = ""
        """Why it ended, where the engine knows; set before ``read`` tells of the end."""

    def read(self) -> bytes:
        while not (said := self._take()):
            data = self._receive()
            if not data:
                self.reason = "" if self._closed.is_set() else self._find_reason()
                return b""
            self._rest += data
        return said

    def _receive(self) -> bytes:
        with suppress(OSError):  # the engine went away; or it was closed here
            return bytes(self._socket.recv(READ))
        return b""

    def _take(self) -> bytes:
        """Return standard output out of what came: pieces behind a head of 8 bytes, the last
        perhaps not whole."""
        said, at = [], 0
        while len(self._rest) - at >= 8:
            stream, size = struct.unpack_from(">BxxxI", self._rest, at)
            if len(self._rest) - at - 8 < size:
                break
            piece = bytes(self._rest[at + 8 : at + 8 + size])
            at += 8 + size
            if stream == STDOUT:
                said.append(piece)
            elif stream == STDERR:
                self.stderr = (self.stderr + piece)[-STDERR_KEPT:]
        del self._rest[:at]
        return b"".join(said)

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError):  # it has ended already
            # Closing alone would do nothing: the SDK's response holds the socket too.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._attached.close()
        self._socket.close()
