"""The messages of a kernel that no request waits for: what threads say later, what cells ask to be
typed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..environments.exchange import OnMessage
from ..environments.kernel import Kernel
from ..environments.messages import Message
from .guest_requests import GuestRequests


class Listener:
    """Hands on those of a REPL's kernel, which is ``now`` this one."""

    def __init__(self, requests: GuestRequests, now: Callable[[], Kernel]) -> None:
        self.on_stray: OnMessage | None = None
        """Gets the messages of the kernel that no cell under way caused."""
        self.on_input: OnMessage | None = None
        """Gets the kernel's requests for a line of input, in a human's cell."""
        self._asked = requests
        self._now = now
        self._typing: set[asyncio.Task[None]] = set()

    def _listen(self, kernel: Kernel) -> None:
        kernel.hear(self._heard_stray, self._heard_input)

    def _heard_stray(self, message: Message) -> None:
        if self.on_stray is not None:
            self.on_stray(message)

    def _heard_input(self, message: Message) -> None:
        cell = self._asked.cell
        if cell is not None:
            cell.asked_hidden = bool(message["content"].get("password"))
        if cell is not None and cell.to_type:
            typing = asyncio.create_task(self._type(cell.to_type.pop(0) or ""))
            self._typing.add(typing)
            typing.add_done_callback(self._typing.discard)
        elif self.on_input is not None:
            self.on_input(message)

    async def _type(self, line: str) -> None:
        """Type a line. Never raises: the cell that asked for it ends with the error."""
        try:
            await self.answer_input(line)
        except Exception as error:  # noqa: BLE001 (raised where the cell is awaited)
            self._now().fail(error)

    async def answer_input(self, line: str) -> None:
        """Send what the human typed for the cell that runs."""
        cell = self._asked.cell
        if cell is not None:
            cell.typed.append(None if cell.asked_hidden else line)
        await self._now().answer_input(line)

    def _type_no_more(self) -> None:
        for typing in self._typing:
            typing.cancel()
