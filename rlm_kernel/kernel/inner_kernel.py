"""The inner kernel of a notebook: found when it is needed, and handed the front ends' cells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..environments.kernel import Kernel
from ..environments.messages import Message
from ..record.outputs import Collector
from ..repl.repl import Repl
from ..repl.running_cell import Ran
from .front_end import Execution, FrontEnd


class InnerKernel:
    """Relays cells to the kernel that ``find`` gives, and notices when that was replaced."""

    def __init__(self, front_end: FrontEnd, find: Callable[[], Awaitable[Repl]]) -> None:
        self._front_end = front_end
        self._find = find
        self._relaying: Repl | None = None
        # Of ``known``, when it was last looked at.
        self._kernel: Kernel | None = None
        self._names: list[str] = []
        self._news: tuple[str, list[str], int | None] | None = None
        self.known: Repl | None = None
        """The REPL that ``repl`` gave last."""

    async def repl(self) -> Repl:
        """Return the notebook's REPL with its kernel alive. Raises ``RLMError``."""
        kernel, names = self._kernel, self._names
        repl = await self._find()
        if repl is not self.known:
            repl.on_stray = lambda message: self._pass_on_stray(repl, message)
            repl.on_input = self._front_end.ask_input
            self.known = repl
        elif repl.kernel is not kernel:
            self.note_death(repl.gone, names)
        self._kernel, self._names = repl.kernel, repl.names
        return repl

    def _pass_on_stray(self, repl: Repl, message: Message) -> None:
        """Pass on what a thread or a widget of a human's cell says later; not an LM's."""
        if not repl.kernel.owns(message["parent_header"]):
            self._front_end.publish(message)

    # its death
    def note_death(self, reason: str, lost: list[str], back_to: int | None = None) -> None:
        """Keep for the human's next cell that the kernel was replaced."""
        self._news = reason, lost, back_to

    def tell_news(self, execution: Execution) -> None:
        """Say that the kernel was replaced, once, and which variables are not there again."""
        if self._news is not None:
            reason, names, back_to = self._news
            there = [] if self.known is None else self.known.names
            lost = [name for name in names if name not in there]
            execution.tell(death(reason, lost, back_to), "stderr")
            self._news = None

    def settle(self) -> None:
        """Take the kernel as it is now: what became of it in a cell was said there."""
        if self.known is not None:
            self._kernel, self._names = self.known.kernel, self.known.names

    async def kill(self) -> None:
        """End the kernel at once, for a cell that takes no interrupt."""
        if self.known is not None:
            await self.known.kernel.kill()

    # cells
    @property
    def relaying(self) -> Repl | None:
        """Return the REPL while it runs a cell of a front end; None when none runs."""
        return self._relaying

    async def relay(
        self, repl: Repl, execution: Execution, cell: int, about: dict[str, Any],
        code: str | None = None,
    ) -> Ran:  # fmt: skip
        """Run the cell of a request, or ``code`` in its place, with what it puts out shown."""
        request = execution.request
        if code is not None:
            request = {**request, "content": {**request["content"], "code": code}}
        self._relaying = repl
        try:
            ran = await repl.relay(
                request,
                cell=cell,
                about=about,
                collector=Collector(),
                on_message=self._front_end.publish,
            )
        finally:
            self._relaying = None
        execution.count = ran.execution_count or execution.count
        return ran


def ended(execution: Execution, ran: Ran) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the kernel's own reply, or the error that it died."""
    if ran.reply is None:
        return execution.failed("KernelDied", death(ran.restarted or "", ran.lost, ran.back_to))
    return ran.reply["content"], ran.reply["metadata"]


def death(reason: str, names: list[str], back_to: int | None = None) -> str:
    """Return what a human is told of a kernel that died, with the variables that went with it, and
    the cell after which it stands again."""
    lost = ", ".join(names) or "none"
    if back_to is not None:
        return f"{reason}. It stands again as after cell {back_to}. Lost variables: {lost}"
    return (
        f"{reason}. A new kernel was started; it has the context, if one was given by path. "
        f"Lost variables: {lost}"
    )
