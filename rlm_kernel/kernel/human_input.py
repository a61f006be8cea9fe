"""The human at a front end, whom the LM's cells may ask for a line."""

from __future__ import annotations

import asyncio

from ..record.filters import for_terminal
from ..rlm.consent import Decide, Decision, Proposal, typed
from ..rlm.human import AskHuman
from .front_end import Execution, FrontEnd
from .keys import AskSecret
from .live_cells.live_cells import LiveCells


class HumanInput:
    """Shows questions where the human's own cells ask for input. For one question at a time."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._awaited: asyncio.Future[str] | None = None

    def at(self, execution: Execution) -> AskHuman | None:
        """Return what asks the human before this cell; None where its front end takes no input."""
        if not _takes_input(execution):
            return None

        async def ask(question: str) -> str:
            return await self._ask(execution, f"The LM asks: {for_terminal(question)}")

        return ask

    def decides(self, execution: Execution, live: LiveCells) -> Decide | None:
        """Return what asks the human for cells of the LM's: the pages that show them, or else the
        front end of this cell; None where there are neither."""
        can_type = _takes_input(execution)
        if not (can_type or live.shows):
            return None

        async def decide(proposal: Proposal) -> Decision:
            if live.shows or not can_type:
                return await live.decide(proposal)
            return await typed(proposal, lambda text: self._ask(execution, text))

        return decide

    def secret(self, execution: Execution) -> AskSecret | None:
        """Return what asks for a line that is not shown; None where the front end takes none."""
        if not _takes_input(execution):
            return None
        return lambda prompt: self._typed(execution, prompt, hidden=True)

    async def _ask(self, execution: Execution, text: str) -> str:
        return await self._typed(execution, f"{text}\n" if text else "")

    async def _typed(self, execution: Execution, prompt: str, *, hidden: bool = False) -> str:
        self._awaited = asyncio.get_running_loop().create_future()
        asked = {"prompt": prompt, "password": hidden}
        header = execution.request["header"]
        self._front_end.ask_input({"content": asked, "parent_header": header})
        try:
            return await self._awaited
        finally:
            self._awaited = None

    def take(self, line: str) -> bool:
        """Take a line that was typed, and return whether it was a reply to a question."""
        if self._awaited is None or self._awaited.done():
            return False
        self._awaited.set_result(line)
        return True


def _takes_input(execution: Execution) -> bool:
    return execution.request["content"].get("allow_stdin") is True
