"""A live inner kernel: its process, and the cells that it runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from ..endings import all_of
from ..errors import KernelDied
from ..remote.guest.cells.beside import COMM
from .exchange import Exchange, Mute, OnMessage
from .messages import Channel, Message

log = logging.getLogger("rlm_kernel")

T = TypeVar("T")
LEAVING_SECONDS = 5.0
"""So long a cell that called ``exit`` waits for its kernel to end."""
_TAKE_GREETING = (
    "(lambda stdin: stdin.poll(10_000) and stdin.recv_multipart())"
    "(__import__('IPython').get_ipython().kernel.stdin_socket)"
)
"""The kernel's socket drops what it sends to a client of which it has heard nothing yet."""


@dataclass(frozen=True)
class Executed:
    """The kernel's reply to one execute request, after its ``idle``."""

    ok: bool
    execution_count: int | None
    reply: Message


class Kernel:
    """One live inner kernel. Made by ``launched``; used on one event loop."""

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient, log: Path) -> None:
        self._manager = manager
        self._client = client
        self._log = log
        self._exchange = Exchange(client)
        self._died: asyncio.Task[int | None] | None = None
        self._reason = ""
        self._has_subshells = False
        self._subshells: dict[str, str] = {}  # ids by the names that they have here
        self._opening_subshell = asyncio.Lock()

    def hear(self, on_stray: OnMessage, on_input: OnMessage) -> None:
        """Hand on what no request waits for. ``on_stray`` gets the iopub messages that no request
        under way caused (a thread that outlived its cell, a widget), ``on_input`` the kernel's
        requests for a line of input."""
        self._exchange.on_stray, self._exchange.on_input = on_stray, on_input

    @property
    def provisioner(self) -> Any:
        """Return what started the kernel's process, and ends it."""
        return self._manager.provisioner

    @property
    def pid(self) -> int:
        """Return the process id of a kernel that runs on this machine itself."""
        return int(self.provisioner.pid)

    @property
    def alive(self) -> bool:
        return self._died is not None and not self._died.done()

    # life
    def start_pumps(self) -> None:
        self._died = asyncio.ensure_future(self._serve())

    async def _serve(self) -> int | None:
        """Take in what the kernel sends until it ends; return its exit code, or None.

        Where either cannot be followed any more, nobody would hear the kernel: it is ended.
        """
        messages = asyncio.ensure_future(self._exchange.serve())
        exited = asyncio.ensure_future(self._exited())
        try:
            await asyncio.wait({messages, exited}, return_when=asyncio.FIRST_COMPLETED)
            if exited.done() and exited.exception() is None:
                return exited.result()
            if exited.done():
                failure, lost = exited.exception(), "its end cannot be told"
            else:
                failure, lost = messages.exception(), "its messages cannot be read any more"
            log.error("the kernel is ended: %s", lost, exc_info=failure)
            self._reason = f"{lost}: {_cause(failure)!r}"
            await self.kill()
            return None
        finally:
            for task in (messages, exited):
                task.cancel()
            await asyncio.gather(messages, exited, return_exceptions=True)

    async def _exited(self) -> int | None:
        """Return the exit code, once there is one; a sandbox also says why its kernel ended."""
        code: int | None = await self.provisioner.wait()
        if hasattr(self.provisioner, "reason"):
            self._reason = await self.provisioner.reason()
        return code

    async def ready(self) -> None:
        """Wait until all channels stand: on each a message has gone the whole way. (A kernel's
        reply to a request does not say that its iopub and its stdin reach us.)"""
        exchange = self._exchange
        while not exchange.heard.is_set():
            await exchange.send("shell", exchange.message("kernel_info_request"))
            with contextlib.suppress(TimeoutError):
                await self._unless_dead(asyncio.wait_for(exchange.heard.wait(), 1.0))
        info, _ = await all_of(
            self.request(exchange.message("kernel_info_request"), channel=channel)
            for channel in ("shell", "control")
        )
        assert info is not None
        self._has_subshells = "kernel subshells" in info["content"].get("supported_features", ())
        await self.answer_input("")
        await self.execute(_TAKE_GREETING, silent=True)  # one that is no ipykernel may refuse it

    async def _unless_dead(self, waiting: Awaitable[T]) -> T:
        """Return the result of ``waiting``; raises ``KernelDied`` if the kernel ends first."""
        assert self._died is not None
        task = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait({task, self._died}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._death()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _death(self) -> KernelDied:
        assert self._died is not None
        return KernelDied(self.epitaph(), exit_code=self._died.result())

    def epitaph(self) -> str:
        """Return how the kernel, which is dead, ended."""
        assert self._died is not None
        if self._died.cancelled():
            return "the kernel was closed"
        if self._reason:
            ended = self._reason.startswith("the kernel ended")
            return self._reason if ended else f"the kernel ended: {self._reason}"
        code = self._died.result()
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
        if code == -9:
            how += ", perhaps out of memory"
        return f"the kernel ended ({how})"

    def log_tail(self) -> str:
        """Return the last of what the kernel process wrote outside of any cell."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-2000:].strip()
        return ""

    async def close(self) -> None:
        if self._died is not None:
            self._died.cancel()
            await asyncio.gather(self._died, return_exceptions=True)
        self._client.stop_channels()
        await self._killed()
        await self._manager.shutdown_kernel(now=True)
        self._manager.context.destroy(linger=0)

    async def kill(self) -> None:
        """End the process at once; requests under way raise ``KernelDied``."""
        await self.provisioner.kill()

    async def _killed(self) -> None:
        """End the process and see it end soon: the manager's own wait looks every 0.1 s."""
        await self.kill()
        process = getattr(self.provisioner, "process", None)
        for _ in range(250):
            if process is None or process.poll() is not None:
                return
            await asyncio.sleep(0.002)

    # messages
    async def request(
        self,
        message: Message,
        on_message: OnMessage | None = None,
        *,
        replies: bool = True,
        channel: Channel = "shell",
    ) -> Message | None:
        """Send it as ``Exchange.request`` does. Raises ``KernelDied``, also where the kernel
        answers nothing any more and has to be ended."""
        asked = self._exchange.request(message, on_message, replies=replies, channel=channel)
        try:
            return await self._unless_dead(asked)
        except Mute as error:
            await self.kill()
            raise KernelDied(f"the kernel was ended: {error}") from error

    def fail(self, error: Exception) -> None:
        """Let every request under way raise this error; what the kernel does goes on."""
        self._exchange.fail(error)

    async def answers(self, seconds: float) -> bool:
        """Return whether the kernel answers in that time: it does once nothing runs in it."""
        with contextlib.suppress(TimeoutError, KernelDied, Mute):
            async with asyncio.timeout(seconds):
                await self._unless_dead(self._exchange.round_trip("shell"))
                return True
        return False

    async def pass_on(self, message: Message) -> None:
        """Send a shell message and wait for nothing; what it causes is stray."""
        await self._exchange.send("shell", message)

    async def request_aside(
        self,
        message: Message,
        on_message: OnMessage | None = None,
        *,
        subshell: str = "",
    ) -> Message | None:
        """Send as ``request`` does what must be answered while a cell runs (completion,
        inspection), in the ``subshell`` of this name.

        A kernel that has no subshells (ipykernel before 7) answers it after the cell.
        """
        if not self._has_subshells:
            return await self.request(message, on_message)
        header = {**message["header"], "subshell_id": await self._subshell(subshell)}
        return await self.request({**message, "header": header}, on_message)

    async def pass_on_aside(self, message: Message, on_message: OnMessage) -> None:
        """Send a widget's message, which is to be taken while a cell runs; return when it is."""
        if not self._has_subshells:
            await self.request(message, on_message, replies=False)
            return
        kind = COMM if message["msg_type"] == "comm_msg" else message["msg_type"]
        about = {"msg_type": kind, "subshell_id": await self._subshell("")}
        header = {**message["header"], **about}
        await self.request({**message, "header": header}, on_message, replies=False)

    async def _subshell(self, name: str) -> str:
        """Return the id of the subshell that has this name here, made when it is first used."""
        async with self._opening_subshell:
            if name not in self._subshells:
                asked = self._exchange.message("create_subshell_request")
                reply = await self.request(asked, channel="control")
                assert reply is not None
                self._subshells[name] = reply["content"]["subshell_id"]
        return self._subshells[name]

    async def close_subshell(self, name: str) -> None:
        """Let go of the subshell of this name, if there is one."""
        if (identity := self._subshells.pop(name, None)) is not None:
            asked = self._exchange.message("delete_subshell_request", {"subshell_id": identity})
            await self.request(asked, channel="control")

    async def answer_input(self, value: str) -> None:
        """Send the line that the kernel asked for by ``on_input``."""
        await self._exchange.send("stdin", self._exchange.message("input_reply", {"value": value}))

    async def execute(
        self,
        source: str,
        *,
        on_message: OnMessage | None = None,
        metadata: dict[str, Any] | None = None,
        silent: bool = False,
        stdin: bool = False,
        expression: str | None = None,
    ) -> Executed:
        """Run a cell to its end. Raises ``KernelDied``.

        ``silent`` cells leave no history and trigger no hooks of the guest. With ``stdin`` the
        cell may ask for lines, by ``on_input``. An ``expression`` is evaluated after it: that of
        an empty cell goes past all hooks and transformers of the shell.
        """
        content = {
            "code": source,
            "silent": silent,
            "store_history": not silent,
            "user_expressions": {} if expression is None else {"rlm": expression},
            "allow_stdin": stdin,
            "stop_on_error": False,
        }
        message = self._exchange.message("execute_request", content, metadata=metadata)
        return await self.execute_message(message, on_message)

    async def execute_message(
        self, message: Message, on_message: OnMessage | None = None
    ) -> Executed:
        """Run a cell by a request that somebody else wrote, passed on as it is."""
        reply = await self.request(message, on_message)
        assert reply is not None
        content = reply["content"]
        if _is_leaving(content):  # the next cell is to find it gone, and not to go with it
            assert self._died is not None
            await asyncio.wait({self._died}, timeout=LEAVING_SECONDS)
        return Executed(content["status"] == "ok", content.get("execution_count"), reply)

    def owns(self, header: dict[str, Any]) -> bool:
        """Return True where a request with this header was our own and not passed on."""
        return bool(header.get("session") == self._client.session.session)

    async def interrupt(self) -> None:
        """Stop the running cell; keep the kernel and its names.

        Not promised: C code that never returns to Python does not stop, nor does a cell that
        swallows ``KeyboardInterrupt``; the caller then opens a new kernel.
        """
        with contextlib.suppress(ProcessLookupError, RuntimeError):
            await self._manager.interrupt_kernel()


def _is_leaving(reply: dict[str, Any]) -> bool:
    """Return whether a kernel ends behind this reply to a cell: the cell called ``exit``."""
    payload = reply.get("payload")
    return isinstance(payload, list) and any(
        isinstance(one, dict) and one.get("source") == "ask_exit" and not one.get("keepkernel")
        for one in payload
    )


def _cause(failure: BaseException | None) -> BaseException | None:
    """Return the first error in a group of them."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
