"""The outer kernel: what Jupyter starts for "RLM". It speaks the protocol and runs no code.

Requests go to the inner kernel with the front end's own headers, so that what comes back needs no
translation. The handlers here run on ipykernel's loop, the ``RequestHandler`` on the engine's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import zmq
from ipykernel._version import kernel_protocol_version
from ipykernel.kernelbase import Kernel
from jupyter_client.session import Session

from .. import __version__
from ..environments.messages import REFUSED, Message, failure, pack_any_text
from ..errors import RLMError, UsageError
from ..record.filters import for_terminal
from ..record.notebooks.language import LANGUAGE_INFO
from ..session.event_loop import engine
from .request_handler import RequestHandler
from .requests import COMMS, asks, faulty, is_done_beside, stops
from .stdin import Stdin
from .subshells import Subshells

T = TypeVar("T")
ASKED_ASIDE = (
    "complete_request",
    "inspect_request",
    "is_complete_request",
    "history_request",
    "comm_info_request",
    "kernel_info_request",
    *COMMS,
)
"""Answered also while a cell runs."""
UNASKED = "Not asked: a cell before it was interrupted or ended with an error.\n"
SUBSHELLS = ("create_subshell_request", "delete_subshell_request", "list_subshell_request")
Handler = Callable[[Any, Any, Message], Awaitable[None]]
log = logging.getLogger("rlm_kernel")


class RLMKernel(Kernel):
    """A proxy for Python cells, and the face of ``%%rlm`` and ``%rlm``."""

    implementation = "rlm_kernel"
    implementation_version = __version__
    banner = (
        f"rlm_kernel {__version__}: Python cells, and a language model that writes its own.\n"
        "%rlm context PATH, then a cell that begins with %%rlm asks; %rlm help says more."
    )
    language_info = LANGUAGE_INFO

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.shell_handlers.update(dict.fromkeys(COMMS, self._forward_comm))
        for kind in set(ASKED_ASIDE) - {"kernel_info_request", *COMMS}:
            self.shell_handlers[kind] = self._forward
        self.control_handlers.update(dict.fromkeys(SUBSHELLS, self._about_subshells))
        # Not announced among the features; a front end that asks all the same is told.
        self.control_handlers["debug_request"] = self._decline
        self._subshells = Subshells()
        for handlers in (self.shell_handlers, self.control_handlers):
            for kind, handler in handlers.items():
                handlers[kind] = partial(self._answered, handler)
        pack_any_text(self._wire)
        self._front_session = self._wire.clone()  # for the engine's thread
        self._requests = RequestHandler(self, Path.cwd())
        self._in_cell = False

    @property
    def _wire(self) -> Session:
        assert self.session is not None  # as it can be only while it is being made
        return self.session

    @property
    def kernel_info(self) -> dict[str, Any]:
        """Return what the kernel is; debug requests are not passed on. (ipykernel's own property
        imports the debugger to see whether it could.)"""
        return {
            "protocol_version": kernel_protocol_version,
            "implementation": self.implementation,
            "implementation_version": self.implementation_version,
            "language_info": self.language_info,
            "banner": self.banner,
            "help_links": [],
            "supported_features": ["kernel subshells"],
        }

    # life
    def start(self) -> None:
        super().start()
        self._stdin = Stdin(self.stdin_socket, self._wire, self.io_loop, self._answer_input)
        running = engine()  # not in the handler: see ``Engine``
        signal.signal(signal.SIGINT, lambda *_: running.soon(self._interrupt))
        _start(self._requests.start())

    def pre_handler_hook(self) -> None:
        """Do nothing: no code runs here that a signal could interrupt."""

    post_handler_hook = pre_handler_hook

    async def do_shutdown(self, restart: bool) -> dict[str, Any]:
        await _on_engine(self._requests.close())
        return {"status": "ok", "restart": restart}

    async def interrupt_request(self, stream: Any, ident: Any, parent: Message) -> None:
        await _on_engine(self._requests.interrupt())
        self._wire.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)

    def _interrupt(self) -> None:
        _start(self._requests.interrupt())

    # requests of front ends
    async def shell_main(self, subshell_id: str | None, msg: Any) -> None:
        """Serve requests one after another, but for those that are answered while a cell runs, and
        those to a subshell."""
        if (found := faulty(self._wire, msg, self._subshells)) is not None:
            await self._refused(self.shell_stream, *found)
            return
        if not self._is_aside(msg, busy=self._main_asyncio_lock.locked()):
            await super().shell_main(subshell_id, msg)
            return
        idents, frames = self._wire.feed_identities(msg, copy=False)
        try:
            request = self._wire.deserialize(frames, copy=False)
        except REFUSED as error:
            log.warning("an invalid message was dropped: %s", error)
            return
        kind = request["msg_type"]
        handler = self._beside if kind == "execute_request" else self.shell_handlers[kind]
        self._publish_status("busy", "shell", request)
        try:
            await handler(self.shell_stream, idents, request)
        finally:
            self._be_idle(request)

    def _be_idle(self, request: Message) -> None:
        """Say that a request is done, which did not wait for the cell that runs."""
        self._publish_status("idle", "shell", request)
        self._stay_busy()

    def _stay_busy(self) -> None:
        """Say that a cell runs, where one does: a front end's sign goes by the last status that is
        of a kind of request which it heeds. It is of no request there is, since front ends note
        when the cell itself began."""
        if self._in_cell:
            nobodys = {"header": self._wire.msg_header("execute_request")}
            self._publish_status("busy", "shell", nobodys)

    async def process_control(self, msg: Any) -> None:
        if (found := faulty(self._wire, msg, self._subshells)) is not None:
            await self._refused(self.control_stream, *found)
            return
        await super().process_control(msg)
        self._stay_busy()

    async def _answered(self, handler: Handler, stream: Any, ident: Any, parent: Message) -> None:
        """Handle a request. Where that fails the front end gets an error reply: one that gets
        none waits for ever."""
        try:
            await handler(stream, ident, parent)
        except Exception as error:
            if not isinstance(error, RLMError):
                log.exception("a fault of rlm_kernel ended a request")
            kind = parent["header"]["msg_type"]
            if kind.endswith("_request"):
                content = failure(type(error).__name__, str(error))
                self._wire.send(stream, _reply_to(kind), content, parent, ident)

    async def _refused(self, stream: Any, ident: Any, request: Message, said: str) -> None:
        """Answer a request that nobody can handle."""
        content, kind = failure("UsageError", said), request["msg_type"]
        self._publish_status("busy", "shell", request)
        if kind == "execute_request":
            self._wire.send(
                self.iopub_socket, "error", content, request, ident=self._topic("error")
            )
        if kind in COMMS:
            self.say(f"a widget's message was refused: {said}")
        else:
            self._wire.send(stream, _reply_to(kind), content, request, ident)
        self._be_idle(request)

    async def _decline(self, stream: Any, ident: Any, parent: Message) -> None:
        kind = parent["header"]["msg_type"]
        raise UsageError(f"the kernel RLM has no {kind}: it has no debugger")

    async def _about_subshells(self, stream: Any, ident: Any, parent: Message) -> None:
        kind = parent["header"]["msg_type"]
        content = self._subshells.answer(kind, parent["content"])
        if kind == "delete_subshell_request":
            await _on_engine(self._requests.delete_subshell(parent["content"]["subshell_id"]))
        self._wire.send(stream, _reply_to(kind), content, parent, ident)

    def _is_aside(self, frames: Any, *, busy: bool) -> bool:
        """Return True for a message, not checked yet, that waits for no cell: to a subshell, or
        while a cell runs one that is answered then."""
        try:
            rest: Any = self._wire.feed_identities(frames, copy=False)[1]
            _, header, _, _, content = (bytes(frame) for frame in rest[:5])
            about = self._wire.unpack(header)
            kind = about.get("msg_type")
            if about.get("subshell_id") is not None or not busy:
                return about.get("subshell_id") is not None
            if kind != "execute_request":
                return kind in ASKED_ASIDE
            code = self._wire.unpack(content).get("code")
        except (ValueError, IndexError, AttributeError):  # ipykernel's own signs, or no message
            return False
        return isinstance(code, str) and (stops(code) or is_done_beside(code))

    async def _beside(self, stream: Any, ident: Any, parent: Message) -> None:
        """Stop the cell that runs, show its run, or tell its LM a word: ``%rlm stop``, ``watch`` or
        ``tell`` came in another cell, or by another front end. Or run a cell of a subshell."""
        code = parent["content"]["code"]
        if not (stops(code) or is_done_beside(code)):
            content, _ = await _on_engine(self._requests.execute_aside(parent))
            self._wire.send(stream, "execute_reply", content, parent, ident)
            return
        self._publish_execute_input(code, parent, self.execution_count)
        if is_done_beside(code):
            content, _ = await _on_engine(self._requests.beside(parent))
        else:
            await _on_engine(self._requests.interrupt())
            content = {"status": "ok", "user_expressions": {}, "payload": []}
        content = {**content, "execution_count": self.execution_count}
        self._wire.send(stream, "execute_reply", content, parent, ident)

    async def execute_request(self, stream: Any, ident: Any, parent: Message) -> None:
        identity = parent["header"]["msg_id"]
        with self._stdin.requester(identity, ident):
            content, metadata = await self._executed(parent)
        self.execution_count = content.get("execution_count") or self.execution_count
        self._wire.send(stream, "execute_reply", content, parent, ident, metadata=metadata)
        silent = parent["content"].get("silent", False)
        if (
            content["status"] == "error"
            and not silent
            and parent["content"].get("stop_on_error", True)
        ):
            self._abort_queues()

    async def _executed(self, parent: Message) -> tuple[dict[str, Any], dict[str, Any]]:
        """Run a cell; return content and metadata of the reply. There is one whatever happens: a
        front end that gets none waits for ever."""
        self._in_cell = True
        try:
            return await _on_engine(self._requests.execute(parent))
        except Exception as error:
            log.exception("a fault of rlm_kernel ended the cell")
            text = f"{error}; this is a fault of rlm_kernel, its log says more"
            return self._requests.failed(parent, type(error).__name__, text)
        finally:
            self._in_cell = False

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """Let the cells be aborted that wait now. (ipykernel's own way, where there are no
        subshells, ends at the first of them.)"""
        self._aborting = True
        stream: Any = self.shell_stream
        stream.flush(zmq.POLLIN)  # those that have come wait for the lock from now on
        self.io_loop.add_callback(self._stop_aborting)

    def _send_abort_reply(self, stream: Any, msg: Message, idents: Any) -> None:
        """Abort a request that waited. A front end shows nothing of it: a question says so."""
        code = msg["content"].get("code") if msg["msg_type"] == "execute_request" else None
        if isinstance(code, str) and asks(code, in_text=self._requests.asks_in_text):
            said = {"name": "stderr", "text": UNASKED}
            self._wire.send(self.iopub_socket, "stream", said, msg, ident=self._topic("stream"))
        super()._send_abort_reply(stream, msg, idents)

    async def _stop_aborting(self) -> None:
        async with self._main_asyncio_lock:  # it is given in the order in which it was asked for
            self._aborting = False

    async def do_execute(self, *args: Any, **options: Any) -> dict[str, Any]:
        raise NotImplementedError("execute_request is overridden")

    async def _forward(self, stream: Any, ident: Any, parent: Message) -> None:
        reply = await _on_engine(self._requests.forward(parent))
        kind = _reply_to(parent["header"]["msg_type"])
        self._wire.send(stream, kind, reply["content"], parent, ident, metadata=reply["metadata"])

    async def _forward_comm(self, stream: Any, ident: Any, parent: Message) -> None:
        await _on_engine(self._requests.forward_comm(parent))

    def _answer_input(self, line: str) -> None:
        _start(self._requests.answer_input(line))

    # front_end.FrontEnd, called on the engine's thread
    def publish(self, message: Message) -> None:
        """Pass on an iopub message of the inner kernel, as one of ours: JupyterLab drops what waits
        to be shown when a message of another session comes, as if the kernel had restarted."""
        header = {**message["header"], "session": self._front_session.session}
        self._front_session.send(
            self.iopub_socket,
            {**message, "header": header, "msg_id": header["msg_id"]},
            ident=self._topic(message["msg_type"]),
            buffers=message.get("buffers") or None,
        )

    def send(self, kind: str, content: dict[str, Any], parent: Message) -> None:
        """Publish a message of our own, caused by ``parent``."""
        self._front_session.send(
            self.iopub_socket, kind, content, parent=parent, ident=self._topic(kind)
        )

    def ask_input(self, request: Message) -> None:
        """Ask the front end that sent the cell for a line."""
        self.io_loop.add_callback(self._stdin.ask, request)

    def say(self, line: str) -> None:
        """Write a line to the log, which headless runs show on the terminal."""
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(for_terminal(f"[rlm] {line}"), file=sys.__stderr__, flush=True)


async def _on_engine(work: Coroutine[Any, Any, T]) -> T:
    future, _ = engine().start(work)
    return await asyncio.wrap_future(future)


def _start(work: Coroutine[Any, Any, object]) -> None:
    """Start what nobody waits for; the log tells if it fails."""
    future, _ = engine().start(work)
    future.add_done_callback(_tell)


def _tell(done: Future[object]) -> None:
    error = None if done.cancelled() else done.exception()
    if error is not None and not isinstance(error, asyncio.CancelledError):
        log.error("a fault of rlm_kernel", exc_info=error)


def _reply_to(kind: str) -> str:
    return kind.removesuffix("_request") + "_reply"
