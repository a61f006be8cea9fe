"""A node's memory of an earlier run: replies and answers that nobody is asked for again.

The loop runs as always and looks here first. ``NoMemory`` is of a run that begins anew; the one of
a run that goes on from a record is ``replay.memory.NodeMemory``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..events import CallEnded, CellRan, Event, KernelRestarted, Prompted, Replied
from ..repl.occurrences import CallId
from ..repl.running_cell import Author, Ran
from .cell_runner import CellRunner


@dataclass(frozen=True)
class Numbers:
    """The next cell, call and child of one kernel; shared by all that run in it."""

    cells: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    calls: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    children: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True)
class Recalled:
    """A turn's reply as it was recorded, and what the LM had been told before it; ``told`` is empty
    where that is not to be repeated."""

    told: Sequence[Prompted]
    replied: Replied


@dataclass(frozen=True)
class Intervention:
    """A human's change to a turn, in place of the rest of it. An answer given in it ends nothing.

    Of the turn's cells the first ``kept`` run, and then the human's ``edit``; where ``kept`` is
    None the turn is left as it was. ``note`` is the human's word to the LM.
    """

    kept: int | None = None
    edit: str | None = None
    note: str | None = None


class Memory(Protocol):
    """Answers a node from the record that it goes on from."""

    @property
    def repeated_turns(self) -> int:
        """The turns that a fork repeats, which are not counted against its limit."""

    def numbers(self) -> Numbers:
        """Return how the node's cells, calls and children are numbered on."""

    def reply(self, turn: int) -> Recalled | None:
        """Return the reply of a turn, 0 for the sorting of the question; None where the LM is to be
        asked. Raises ``RecordError`` where it may not be."""

    def answers(self, call: CallId) -> Mapping[int, CallEnded]:
        """Return the prompts of a call that were answered, by their index in it."""

    def subtree(self, child: str | None) -> Sequence[Event]:
        """Return what a child whose answer is remembered did, and those below it, free of cost."""

    def begun_child(self, question: str, sha256: str) -> str | None:
        """Return a child that was at work on this question and context, and whose answer did not
        reach its parent; each is returned once."""

    def intervention(self, turn: int) -> Intervention | None:
        """Return what a human has put in place of the rest of this turn; 0 is before the first."""

    def sources(self, turn: int) -> Sequence[tuple[str, Author]] | None:
        """Return what ran in a turn, with its authors; None where it did not come to its end."""

    def taken(self, turn: int) -> bool | None:
        """Return whether the answer of a turn was the node's; None where that is not known."""

    def done(self, cell: int) -> tuple[CellRan, KernelRestarted | None] | None:
        """Return a cell that does not run again: one that ended its kernel, or that the kernel went
        back from, with how that was replaced; in a branch any that its kernel has run already."""

    def calls_of(self, cell: int) -> Sequence[CallEnded]:
        """Return the calls of a cell that were answered, free of cost, in their order."""

    def check(self, cell: int, ran: Ran) -> None:
        """Raise ``RecordError`` for a cell that failed now, not then, where no LM would see it."""

    async def restore(self, repl: CellRunner) -> None:
        """Bring a new kernel to where it was before the question. Raises ``RecordError`` where that
        cannot be."""


class NoMemory:
    """The ``Memory`` of a node that begins anew."""

    repeated_turns = 0

    def __init__(self, node: str) -> None:
        self.node = node

    def numbers(self) -> Numbers:
        return Numbers()

    def reply(self, turn: int) -> Recalled | None:
        return None

    def answers(self, call: CallId) -> Mapping[int, CallEnded]:
        return {}

    def subtree(self, child: str | None) -> Sequence[Event]:
        return ()

    def begun_child(self, question: str, sha256: str) -> str | None:
        return None

    def intervention(self, turn: int) -> Intervention | None:
        return None

    def sources(self, turn: int) -> Sequence[tuple[str, Author]] | None:
        return None

    def taken(self, turn: int) -> bool | None:
        return None

    def done(self, cell: int) -> tuple[CellRan, KernelRestarted | None] | None:
        return None

    def calls_of(self, cell: int) -> Sequence[CallEnded]:
        return ()

    def check(self, cell: int, ran: Ran) -> None:
        """Take any end of the cell: its LM sees it."""

    async def restore(self, repl: CellRunner) -> None:
        """Leave the kernel as it is: nothing was run before the question."""
