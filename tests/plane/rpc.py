"""gRPC services out of plain methods."""

from __future__ import annotations

import base64
import inspect
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import grpclib.events
from grpclib import GRPCError, Status
from grpclib.protocol import H2Protocol
from grpclib.server import Server
from modal._utils.grpc_utils import custom_detail_codec

from .ports import Port

IDEMPOTENCY_KEY: ContextVar[str] = ContextVar("IDEMPOTENCY_KEY", default="")
"""Of the request that is being answered."""
TOKEN_S = 3600
Check = Callable[[grpclib.events.RecvRequest], Awaitable[None]]


def takes_stream(method: Any) -> Any:
    """Mark a method that is given the stream of requests instead of one request."""
    method.takes_stream = True
    return method


def service(base: Any, parts: list[object], missing: Callable[[str], None]) -> Any:
    """An instance of a grpclib base whose calls are the methods of the same names of its parts.

    A method takes the request and returns the answer; an async generator yields the answers. What
    has no method is told to ``missing`` and answered with UNIMPLEMENTED.
    """
    names = base.__abstractmethods__
    handlers = {name: _handler(name, _method(parts, name), missing) for name in names}
    return type(f"Plane{base.__name__}", (base,), handlers)()


def _method(parts: list[object], name: str) -> Any:
    return next((getattr(part, name) for part in parts if hasattr(part, name)), None)


def _handler(name: str, method: Any, missing: Callable[[str], None]) -> Any:
    async def unknown(self: Any, stream: Any) -> None:
        missing(name)
        raise GRPCError(Status.UNIMPLEMENTED, f"{name} is not in this test plane")

    async def one_answer(self: Any, stream: Any) -> None:
        given = stream if hasattr(method, "takes_stream") else await stream.recv_message()
        await stream.send_message(await method(given))

    async def many_answers(self: Any, stream: Any) -> None:
        async with aclosing(method(await stream.recv_message())) as answers:
            async for answer in answers:
                await stream.send_message(answer)

    if method is None:
        return unknown
    return many_answers if inspect.isasyncgenfunction(method) else one_answer


class _Server(Server):
    """It remembers its connections."""

    def __init__(self, services: list[Any]) -> None:
        super().__init__(services, status_details_codec=custom_detail_codec)
        self.connections: set[H2Protocol] = set()

    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        self.connections = {each for each in self.connections if not each.handler.closing} | {made}
        return made


class Listener:
    """Services on a port of their own, which may go and come back, and whose open connections can
    be dropped. ``check`` sees each request first and refuses it by raising ``GRPCError``."""

    def __init__(self, services: list[Any], check: Check) -> None:
        self._services = services
        self._check = check
        self._port = Port()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port.number}"

    async def open(self) -> None:
        if self._server is not None:
            return
        self._server = _Server(self._services)
        grpclib.events.listen(self._server, grpclib.events.RecvRequest, self._check)
        await self._server.start(sock=self._port.bound())

    def cut(self) -> None:
        """Drop the connections of this moment; new ones work."""
        if self._server is not None:
            for each in self._server.connections:
                if hasattr(each, "processor"):  # or it is not yet connected
                    each.processor.close("cut")

    async def close(self) -> None:
        """Listen no more, and drop the connections. ``open`` brings it back on the same port."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for each in server.connections:
            if hasattr(each, "processor"):
                each.processor.close("closed")
        await server.wait_closed()

    async def end(self) -> None:
        await self.close()
        self._port.release()


def web_token(name: str) -> str:
    """In the form of a JSON web token, which is all that the SDK looks at."""
    claims = {"sub": name, "exp": int(time.time()) + TOKEN_S}
    parts = (
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode()
        for each in ({"alg": "none"}, claims)
    )
    return ".".join([*parts, uuid.uuid4().hex])
