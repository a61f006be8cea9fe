"""Ports of the loopback interface that stay ours while nobody listens on them."""

from __future__ import annotations

import socket


class Port:
    """A free port, held by a socket that is bound and never listens."""

    def __init__(self) -> None:
        self._holder = _socket()
        self._holder.bind(("127.0.0.1", 0))
        self.number: int = self._holder.getsockname()[1]

    def bound(self) -> socket.socket:
        """A socket to listen on."""
        made = _socket()
        made.bind(("127.0.0.1", self.number))
        return made

    def release(self) -> None:
        self._holder.close()


def tcp_socket() -> socket.socket:
    """With the protocol by name, or asyncio leaves Nagle's algorithm on: 40 ms a round trip."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _socket() -> socket.socket:
    made = tcp_socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # both share the port by it
    return made
