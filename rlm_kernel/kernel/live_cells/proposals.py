"""Cells that wait for the human in the notebook's pages, and the decisions that these send."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from ...rlm.consent import Decision, Proposal, cut
from .pages import Told


class Proposals:
    """Shows a proposal to the pages, which ``tell`` reaches, and takes the first decision on it.

    Each has a name that nobody can guess, and a decision is of the source that was told under it.
    """

    def __init__(self, tell: Callable[[Told], None]) -> None:
        self._tell = tell
        self._open: dict[str, tuple[Told, Proposal, asyncio.Future[Decision]]] = {}

    @property
    def told(self) -> list[Told]:
        """Return what a page is told that opens now."""
        return [told for told, _, _ in self._open.values()]

    async def decide(self, proposal: Proposal, where: Told) -> Decision:
        """Show a proposal, ``where`` it belongs in a page, until there is a decision."""
        name = secrets.token_hex(16)
        told = {
            "type": "proposal",
            "proposal": name,
            "node": proposal.node,
            "turn": proposal.turn,
            "source": proposal.source,
            "note": proposal.note,
            **where,
        }
        waits: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._open[name] = told, proposal, waits
        self._tell(told)
        try:
            return await waits
        finally:
            del self._open[name]
            self._tell({"type": "decided", "proposal": name})

    def take(self, said: dict[str, Any]) -> None:
        """Take a page's decision; do nothing where it is none, or the proposal is not open."""
        _, proposal, waits = self._open.get(str(said.get("proposal")), (None, None, None))
        if proposal is None or waits is None or waits.done():
            return
        word = cut(said["word"]) if isinstance(said.get("word"), str) else ""
        match said:
            case {"choice": "accepted"}:
                waits.set_result(Decision("accepted", proposal.source, word))
            case {"choice": "rejected"}:
                waits.set_result(Decision("rejected", proposal.source, word))
            case {"choice": "edited", "source": str(source)} if source.strip():
                waits.set_result(Decision("edited", source, word))
