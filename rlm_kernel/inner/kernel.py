"""A live inner kernel as messages: requests out, replies and what they caused in."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager

from ..errors import KernelDied

log = logging.getLogger("rlm_kernel")

Message = dict[str, Any]
"""A Jupyter message as ``jupyter_client.session`` gives it, ``buffers`` included."""
OnMessage = Callable[[Message], None]


@dataclass(frozen=True)
class Executed:
    """What the kernel replied to one execute request, after its ``idle``."""

    ok: bool
    execution_count: int | None
    reply: Message


@dataclass
class _Request:
    """One request under way. ``reply`` is done at once where none is to come."""

    reply: asyncio.Future[Message | None]
    idle: asyncio.Future[None]
    listener: OnMessage | None


class Kernel:
    """One live inner kernel. Made by ``open_kernel``; used on one event loop.

    ``on_stray`` gets the iopub messages that no request under way caused (a thread that outlived
    its cell, a widget), ``on_input`` the kernel's requests for a line of input.
    """

    def __init__(self, manager: AsyncKernelManager, client: AsyncKernelClient, log: Path) -> None:
        self._manager = manager
        self._client = client
        self._log = log
        self._requests: dict[str, _Request] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        self._heard = asyncio.Event()
        self._died: asyncio.Task[int | None] | None = None
        self._reason = ""
        self._aside: str | None = None
        self._controls: dict[str, asyncio.Future[Message]] = {}
        self.on_stray: OnMessage | None = None
        self.on_input: OnMessage | None = None

    @property
    def provisioner(self) -> Any:
        """What started the kernel's process, and ends it."""
        return self._manager.provisioner

    @property
    def pid(self) -> int:
        """The process id of a kernel that runs on this machine itself."""
        return int(self.provisioner.pid)

    @property
    def alive(self) -> bool:
        return self._died is not None and not self._died.done()

    # life
    def start_pumps(self) -> None:
        self._died = asyncio.ensure_future(self._ended())
        self._tasks = [
            self._died,
            asyncio.ensure_future(self._pump_iopub()),
            asyncio.ensure_future(self._pump_shell()),
            asyncio.ensure_future(self._pump_control()),
            asyncio.ensure_future(self._pump_stdin()),
        ]

    async def _ended(self) -> int | None:
        """The exit code, once there is one; a sandbox also says in words why its kernel ended."""
        code: int | None = await self.provisioner.wait()
        if hasattr(self.provisioner, "reason"):
            self._reason = await self.provisioner.reason()
        return code

    async def ready(self) -> None:
        """Wait until the kernel answers and its iopub reaches us: a reply alone is not enough."""
        while not self._heard.is_set():
            message = self._client.session.msg("kernel_info_request", {})
            await self._send(self._client.shell_channel, message)
            with contextlib.suppress(TimeoutError):
                await self._unless_dead(asyncio.wait_for(self._heard.wait(), 1.0))

    async def _unless_dead(self, waiting: Any) -> Any:
        """The result of ``waiting``; raises ``KernelDied`` if the kernel ends first."""
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
        """How the kernel, which is dead, ended."""
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
        """The last of what the kernel process wrote outside of any cell."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-2000:].strip()
        return ""

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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
    async def _receive(self, channel: Any) -> Message:
        """The next message that is one: cells can write on these sockets what they like."""
        session = self._client.session
        while True:
            frames = await channel.socket.recv_multipart()
            try:
                message: Message = session.deserialize(session.feed_identities(frames)[1])
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                log.warning("a message that cannot be read was left out: %r", error)
                continue
            if all(isinstance(message[part], dict) for part in ("parent_header", "content")):
                return message
            log.warning("a message of the wrong form was left out")

    async def _pump_iopub(self) -> None:
        for number in itertools.count(1):
            message = await self._receive(self._client.iopub_channel)
            self._heard.set()
            self._take_iopub(message)
            if number % 50 == 0:  # a flood of messages never waits, and nothing else would run
                await asyncio.sleep(0)

    def _take_iopub(self, message: Message) -> None:
        request = self._requests.get(message["parent_header"].get("msg_id", ""))
        if message["msg_type"] == "status":
            idle = message["content"].get("execution_state") == "idle"
            if request is not None and idle and not request.idle.done():
                request.idle.set_result(None)
        elif request is None:
            if self.on_stray is not None:
                self.on_stray(message)
        elif request.listener is not None:
            request.listener(message)

    async def _pump_shell(self) -> None:
        while True:
            message = await self._receive(self._client.shell_channel)
            request = self._requests.get(message["parent_header"].get("msg_id", ""))
            if request is not None and not request.reply.done():
                request.reply.set_result(message)

    async def _pump_control(self) -> None:
        while True:
            message = await self._receive(self._client.control_channel)
            waiting = self._controls.get(message["parent_header"].get("msg_id", ""))
            if waiting is not None and not waiting.done():
                waiting.set_result(message)

    async def _pump_stdin(self) -> None:
        while True:
            message = await self._receive(self._client.stdin_channel)
            if self.on_input is not None:
                self.on_input(message)

    async def _send(self, channel: Any, message: Message) -> None:
        # Not the channel's own send: it goes past the asyncio socket and takes the edge that tells
        # of a reply coming in at that moment, which then waits for ever (seen once in 300 starts).
        frames = self._client.session.serialize(message)
        await channel.socket.send_multipart([*frames, *(message.get("buffers") or [])])

    async def request(
        self, message: Message, on_message: OnMessage | None = None, *, replies: bool = True
    ) -> Message | None:
        """Send a shell request as it is; its reply, after the kernel's ``idle``, so that all that
        it caused has come. None for a kind that has no reply (``replies`` is false).

        ``on_message`` gets each iopub message that it caused, but for ``status``. Raises
        ``KernelDied``.
        """
        loop = asyncio.get_running_loop()
        request = _Request(loop.create_future(), loop.create_future(), on_message)
        if not replies:
            request.reply.set_result(None)
        identity = message["header"]["msg_id"]
        self._requests[identity] = request
        try:
            await self._send(self._client.shell_channel, message)
            got, _ = await self._unless_dead(asyncio.gather(request.reply, request.idle))
        finally:
            del self._requests[identity]
        reply: Message | None = got
        return reply

    async def pass_on(self, message: Message) -> None:
        """Send a shell message and wait for nothing; what it causes is stray."""
        await self._send(self._client.shell_channel, message)

    async def request_aside(self, message: Message) -> Message | None:
        """``request`` for what must be answered while a cell runs (completion, inspection).

        A kernel that has no subshells (ipykernel before 7) answers it after the cell.
        """
        if self._aside is None:
            reply = await self._control("create_subshell_request")
            self._aside = reply["content"].get("subshell_id") or ""
        if not self._aside:
            return await self.request(message)
        header = {**message["header"], "subshell_id": self._aside}
        return await self.request({**message, "header": header})

    async def _control(self, kind: str) -> Message:
        message = self._client.session.msg(kind, {})
        identity = message["header"]["msg_id"]
        self._controls[identity] = asyncio.get_running_loop().create_future()
        try:
            await self._send(self._client.control_channel, message)
            reply: Message = await self._unless_dead(
                asyncio.wait_for(self._controls[identity], 10.0)
            )
            return reply
        finally:
            del self._controls[identity]

    async def answer_input(self, value: str) -> None:
        """The line that the kernel asked for by ``on_input``."""
        message = self._client.session.msg("input_reply", {"value": value})
        await self._send(self._client.stdin_channel, message)

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
        message = self._client.session.msg("execute_request", content, metadata=metadata)
        return await self.execute_message(message, on_message)

    async def execute_message(
        self, message: Message, on_message: OnMessage | None = None
    ) -> Executed:
        """``execute`` for a request that somebody else wrote, passed on as it is."""
        reply = await self.request(message, on_message)
        assert reply is not None
        content = reply["content"]
        return Executed(content["status"] == "ok", content.get("execution_count"), reply)

    def owns(self, header: dict[str, Any]) -> bool:
        """Whether a request with this header was our own and not passed on."""
        return bool(header.get("session") == self._client.session.session)

    async def interrupt(self) -> None:
        """Stop the running cell; keep the kernel and its names.

        Not promised: C code that never returns to Python does not stop, nor does a cell that
        swallows ``KeyboardInterrupt``; the caller then opens a new kernel.
        """
        with contextlib.suppress(ProcessLookupError, RuntimeError):
            await self._manager.interrupt_kernel()
