"""A connection from inside a sandbox on its way to the host's broker."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ...remote import relay


class Dialing(relay.Channel):
    """Connects to the broker, again while its backlog is full, and turns into a ``Stream``.

    ``complain`` is told, in words, where the broker cannot be reached.
    """

    to_broker = True

    def __init__(
        self, end: relay.End, lane: relay.Lane, path: str, complain: Callable[[str], None]
    ) -> None:
        super().__init__(end, lane)
        self._complain = complain
        self._path = path
        self._early: list[bytes] = []
        self._ended = False

    def receive(self, data: bytes) -> None:
        self._early.append(data)

    def ended(self) -> None:
        self._ended = True

    def retry(self) -> None:
        self.end.stalled.discard(self)
        try:
            sock = _dial(self._path)
        except BlockingIOError:
            self.end.stalled.add(self)
        except (ConnectionRefusedError, FileNotFoundError):
            self.end.reset(self.lane)  # it has ended, and soon the kernel will
        except OSError as error:
            self._complain(f"the broker at {self._path} cannot be reached: {error}")
            self.end.reset(self.lane)
        else:
            self._become(relay.Stream(self.end, self.lane, sock))

    def _become(self, stream: relay.Stream) -> None:
        self.end.add(stream)
        if self._early:
            stream.receive(b"".join(self._early))
        if self._ended and self.end.behind(self.lane.number) is stream:
            stream.ended()


def _dial(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock
