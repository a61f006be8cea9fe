"""Requests to an inner kernel and what they cause: the messages of its four channels."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient

from ..errors import UsageError
from .messages import Channel, Message, NotSigned, failure, pack_any_text, plain, receive

log = logging.getLogger("rlm_kernel")

OnMessage = Callable[[Message], None]
CHANNELS: tuple[Channel, ...] = ("iopub", "shell", "control", "stdin")
QUIET_SECONDS = 2.0
"""After how long without an answer a request of our own is sent behind one. It waits as long as
what runs; where it is answered, the one before it was left out."""
REPLY_SECONDS = 1.0
"""How long after ``idle`` a reply may come: it was sent before, on another socket."""
SILENCE_SECONDS = 120.0
"""How long a kernel that has handled a request may be silent: a message may have a gigabyte, and
come through a pipe."""


class Mute(Exception):
    """The kernel lives and answers nothing any more; the text says what it did not do."""


@dataclass
class _Request:
    """One request under way."""

    reply: asyncio.Future[Message]
    idle: asyncio.Future[None]
    listener: OnMessage | None

    def fail(self, error: Exception) -> None:
        """End it with this error for whoever waits for it."""
        self.listener = None
        for awaited in (self.reply, self.idle):
            if not awaited.done():
                awaited.set_exception(error)
                awaited.exception()  # it is told once


class Exchange:
    """The messages to and from one kernel, on one event loop, while ``serve`` runs.

    ``on_stray`` gets the iopub messages that no request under way caused, ``on_input`` the
    kernel's requests for a line of input.
    """

    def __init__(self, client: AsyncKernelClient) -> None:
        self._client = client
        pack_any_text(client.session)
        self._requests: dict[str, _Request] = {}
        self._warned = False
        self.heard = asyncio.Event()
        """Set with each iopub message."""
        self.on_stray: OnMessage | None = None
        self.on_input: OnMessage | None = None

    async def serve(self) -> None:
        """Take in what comes, until cancelled. Raises an ``ExceptionGroup`` where that fails."""
        async with asyncio.TaskGroup() as group:
            for channel in CHANNELS:
                group.create_task(self._pump(channel))

    # what comes
    async def _pump(self, channel: Channel) -> None:
        takers = {"iopub": self._take_iopub, "stdin": self._take_input}
        take = takers.get(channel, self._take_reply)
        for number in itertools.count(1):
            frames = await self._socket(channel).recv_multipart()
            if number % 50 == 0:  # a flood of messages never waits, and nothing else would run
                await asyncio.sleep(0)
            try:
                message = receive(self._client.session, frames, channel)
            except NotSigned as error:
                self._warn(f"what the kernel did not sign was left out: {error}")
                continue
            take(message)

    def _warn(self, line: str) -> None:
        """Log what a cell may repeat without end."""
        log.log(logging.DEBUG if self._warned else logging.WARNING, line)
        self._warned = True

    def _take_iopub(self, message: Message) -> None:
        self.heard.set()
        request = self._request_of(message)
        if message["msg_type"] == "status":
            idle = message["content"]["execution_state"] == "idle"
            if request is not None and idle and not request.idle.done():
                request.idle.set_result(None)
        else:
            self._hand(self.on_stray if request is None else request.listener, message)

    def _take_reply(self, message: Message) -> None:
        request = self._request_of(message)
        if request is not None and not request.reply.done():
            request.reply.set_result(message)

    def _take_input(self, message: Message) -> None:
        if message["msg_type"] == "input_request":
            self._hand(self.on_input, message)
        else:
            self._warn(f"the kernel sent {message['msg_type']!r} on stdin, which was left out")

    def _request_of(self, message: Message) -> _Request | None:
        """Return the request under way that caused the message."""
        return self._requests.get(message["parent_header"].get("msg_id", ""))

    def _hand(self, listener: OnMessage | None, message: Message) -> None:
        """Call a listener. One that fails ends the request that the message is about."""
        if listener is None:
            return
        try:
            listener(message)
        except Exception as error:
            request = self._request_of(message)
            if request is None:
                log.error("a message that no request waits for was lost", exc_info=error)
            else:
                request.fail(error)

    def fail(self, error: Exception) -> None:
        """Let every request under way raise this error; what they run goes on."""
        for request in self._requests.values():
            request.fail(error)

    # what goes
    def _socket(self, channel: Channel) -> Any:
        return getattr(self._client, f"{channel}_channel").socket

    def message(self, kind: str, content: Message | None = None, **more: Any) -> Message:
        message: Message = self._client.session.msg(kind, content or {}, **more)
        return message

    async def send(self, channel: Channel, message: Message) -> None:
        # Not the channel's own send: it goes past the asyncio socket and takes the edge that tells
        # of a reply coming in at that moment, which then waits for ever (seen once in 300 starts).
        parts = {name: message[name] for name in ("header", "parent_header", "metadata", "content")}
        frames = self._client.session.serialize(plain(parts))
        await self._socket(channel).send_multipart([*frames, *(message.get("buffers") or [])])

    @contextlib.asynccontextmanager
    async def _sent(
        self, message: Message, channel: Channel, listener: OnMessage | None = None
    ) -> AsyncIterator[_Request]:
        """Send a request, and take in what it causes meanwhile."""
        loop = asyncio.get_running_loop()
        request = _Request(loop.create_future(), loop.create_future(), listener)
        identity = message["header"]["msg_id"]
        if identity in self._requests:
            raise UsageError(f"a request with the identity {identity!r:.80} is under way already")
        self._requests[identity] = request
        try:
            await self.send(channel, message)
            yield request
        finally:
            del self._requests[identity]

    async def request(
        self,
        message: Message,
        on_message: OnMessage | None = None,
        *,
        replies: bool = True,
        channel: Channel = "shell",
    ) -> Message | None:
        """Send a request as it is; return its reply, after the kernel's ``idle``, so that all it
        caused has come. None for a kind that has no reply (``replies`` is false); an error reply
        where the kernel gives none (ipykernel does so where a handler raises).

        ``on_message`` gets each iopub message that it caused, but for ``status``; what it raises
        is raised here at once, and what the kernel does goes on. Raises ``Mute``.
        """
        async with self._sent(message, channel, on_message) as request:
            await self._settled(request, message, replies, channel)
            if not replies:
                return None
            return request.reply.result() if request.reply.done() else self._no_reply(message)

    async def _settled(
        self, request: _Request, message: Message, replies: bool, channel: Channel
    ) -> None:
        """Wait for ``idle``, and for the reply if one is to come."""
        ends: set[asyncio.Future[Any]] = {request.idle}
        if replies:
            ends.add(request.reply)
        subshell = message["header"].get("subshell_id")
        await asyncio.wait(ends, timeout=QUIET_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not _any(ends):
            await self.round_trip(channel, subshell, ends)
            await asyncio.wait(ends, timeout=REPLY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not _any(ends):
            return  # the kernel has left it out
        while not request.idle.done():
            self.heard.clear()
            await asyncio.wait({request.idle}, timeout=SILENCE_SECONDS)
            if not request.idle.done() and not self.heard.is_set():
                raise Mute(f"it said nothing for {SILENCE_SECONDS:g} s after its reply")
        request.idle.result()
        if replies and not request.reply.done():
            await asyncio.wait({request.reply}, timeout=REPLY_SECONDS)
        if replies and not request.reply.done():
            await self.round_trip(channel, subshell, {request.reply})

    async def round_trip(
        self,
        channel: Channel,
        subshell: str | None = None,
        until: AbstractSet[asyncio.Future[Any]] = frozenset(),
    ) -> None:
        """Wait for the reply to a request of our own. Replies come in the order of their requests:
        one to what was sent before has come by then, or never will (``until`` one of these does).
        Raises ``Mute``."""
        probe = self.message("kernel_info_request")
        probe["header"]["subshell_id"] = subshell
        async with self._sent(probe, channel) as sent:
            replies = {sent.reply, *until}
            await asyncio.wait(replies | {sent.idle}, return_when=asyncio.FIRST_COMPLETED)
            if not _any(replies):
                await asyncio.wait(
                    replies, timeout=SILENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            if not _any(replies):
                raise Mute("it answers no requests any more")

    def _no_reply(self, message: Message) -> Message:
        kind = message["header"]["msg_type"]
        content = failure("NoReply", f"the kernel gave no reply to this {kind}")
        if kind == "execute_request":  # its outputs are all that some readers see of it
            error = self.message("error", content, parent=message)
            self._hand(self._requests[message["header"]["msg_id"]].listener, error)
        return self.message("reply", content, parent=message)


def _any(awaited: AbstractSet[asyncio.Future[Any]]) -> bool:
    return any(future.done() for future in awaited)
