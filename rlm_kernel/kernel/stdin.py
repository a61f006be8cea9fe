"""The channel on which cells ask front ends for lines of input."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import zmq
from jupyter_client.session import Session
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from ..environments.messages import REFUSED, Message

AGAIN_S = 0.05
log = logging.getLogger("rlm_kernel")


class Stdin:
    """Asks the front end whose cell runs, and hands each line that comes to ``take``.

    To be used on the thread of ``loop`` only.
    """

    def __init__(
        self, socket: Any, wire: Session, loop: IOLoop, take: Callable[[str], None]
    ) -> None:
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._socket = socket
        self._wire = wire
        self._loop = loop
        self._take = take
        self._requesters: dict[str, Any] = {}
        self._stream = ZMQStream(socket, loop)
        self._stream.on_recv(self._receive, copy=False)

    @contextmanager
    def requester(self, identity: str, ident: Any) -> Iterator[None]:
        """Know the front end of a request, by its routing ``ident``, while the body serves it."""
        self._requesters[identity] = ident
        try:
            yield
        finally:
            del self._requesters[identity]

    def ask(self, request: Message) -> None:
        """Ask the front end that sent the cell for a line; nobody where the cell has ended."""
        identity = request["parent_header"].get("msg_id", "")
        if identity not in self._requesters:
            return
        asked = self._wire.msg(
            "input_request", request["content"], parent={"header": request["parent_header"]}
        )
        ident = self._requesters[identity]
        try:
            self._socket.send_multipart(self._wire.serialize(asked, ident=ident))
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            # The front end's own connection for this is not made yet: zmq would drop the request.
            self._loop.call_later(AGAIN_S, self.ask, request)
        self._stream.flush(zmq.POLLIN)  # a send past the stream may take its next sign

    def _receive(self, frames: Any) -> None:
        try:
            _, rest = self._wire.feed_identities(frames, copy=False)
            message = self._wire.deserialize(rest, copy=False)
            value = message["content"].get("value", "")
        except REFUSED as error:
            log.warning("an invalid line of input was dropped: %s", error)
            return
        if message["msg_type"] == "input_reply":
            self._take(value if isinstance(value, str) else str(value))
