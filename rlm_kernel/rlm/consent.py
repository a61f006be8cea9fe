"""The human's consent to a cell before it runs: what is proposed, and what is decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..events import Choice
from ..record.filters import for_terminal

PATIENCE_S = 3600.0
"""How long a cell waits for a decision."""
NOBODY = (
    "the LM's cells run only after a human has accepted them, and nobody is here who can: it takes "
    "a notebook whose front end shows the cells or takes input, or a command on a terminal"
)
NOT_DECIDED = (
    "nobody decided in {seconds:,.0f} s whether the next cell may run: the run was ended here, as "
    "if it had been interrupted"
)
WORD_CHARS = 10_000
"""The longest word to the LM that is taken with a decision."""
END = "."
"""The line that ends a source which is typed."""
HOW = "Run it? y runs it, n rejects it, e changes it; a word to the LM may follow: n use sql"
EDIT = f"Type the cell anew, line by line; {END!r} alone ends it:"
UNSEEN = "It has characters that are not shown as they are."


@dataclass(frozen=True)
class Proposal:
    """A cell of an LM that is not to run before a human says so."""

    node: str
    turn: int
    source: str

    @property
    def note(self) -> str:
        """Return what a human must know who sees the source; empty for nothing."""
        return "" if for_terminal(self.source) == self.source else UNSEEN


@dataclass(frozen=True)
class Decision:
    """The human's answer to a proposal: the ``source`` that runs, unless it was rejected, and a
    ``word`` to the LM."""

    choice: Choice
    source: str
    word: str = ""


Decide = Callable[[Proposal], Awaitable[Decision]]
"""Shows a proposal to a human and returns the decision. Cancelling it takes the proposal back."""
Show = Callable[[str], Awaitable[str]]
"""Shows a text and returns the line that is typed."""


@dataclass(frozen=True)
class Consent:
    """The cells that a human is asked for (``off``, ``first`` of each node, ``always``), and what
    asks; ``decide`` None is nobody."""

    mode: str = "off"
    decide: Decide | None = None

    @property
    def missing(self) -> bool:
        """Return whether cells need a consent that nobody can give."""
        return self.mode != "off" and self.decide is None

    def is_needed(self, *, consented: bool) -> bool:
        """Return whether the next cell of a node needs it, one of whose cells was ``consented`` to
        before or not."""
        return self.mode == "always" or (self.mode == "first" and not consented)


async def typed(proposal: Proposal, show: Show) -> Decision:
    """Return the decision that a human types. An empty line decides nothing."""
    child = "" if proposal.node == "0" else f" of the child {proposal.node}"
    shown = for_terminal(proposal.source)
    asked = "\n".join(
        filter(
            None, [f"Turn {proposal.turn}{child}: the LM wants to run", shown, proposal.note, HOW]
        )
    )
    while True:
        letter, _, word = (await show(asked)).strip().partition(" ")
        match letter.casefold():
            case "y" | "yes":
                return Decision("accepted", proposal.source, cut(word))
            case "n" | "no":
                return Decision("rejected", proposal.source, cut(word))
            case "e" | "edit" if source := await _source(show):
                return Decision("edited", source, cut(word))
        asked = HOW


async def _source(show: Show) -> str:
    """Return the source that a human types, empty for none."""
    lines: list[str] = []
    line = await show(EDIT)
    while line.rstrip() != END:
        lines.append(line)
        line = await show("")
    return "\n".join(lines).strip("\n")


def cut(word: str) -> str:
    return word.strip()[:WORD_CHARS]
