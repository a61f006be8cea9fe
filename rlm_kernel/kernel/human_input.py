"""The human at a front end, whom the LM's cells may ask for a line."""

from __future__ import annotations

import asyncio

from ..record.filters import for_terminal
from ..rlm.human import AskHuman
from .front_end import Execution, FrontEnd


class HumanInput:
    """Shows questions where the human's own cells ask for input. For one question at a time."""

    def __init__(self, front_end: FrontEnd) -> None:
        self._front_end = front_end
        self._awaited: asyncio.Future[str] | None = None

    def at(self, execution: Execution) -> AskHuman | None:
        """Return what asks the human before this cell; None where its front end takes no input."""
        if execution.request["content"].get("allow_stdin") is not True:
            return None

        async def ask(question: str) -> str:
            return await self._ask(execution, question)

        return ask

    async def _ask(self, execution: Execution, question: str) -> str:
        self._awaited = asyncio.get_running_loop().create_future()
        asked = {"prompt": f"The LM asks: {for_terminal(question)}\n", "password": False}
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
