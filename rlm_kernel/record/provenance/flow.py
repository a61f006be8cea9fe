"""Back from a node's answer to the cells that it came from.

By what the cells' sources say: the last cells that bound or changed what the answer reads, and so
on. Where the LM wrote the answer down itself, by the outputs that it had read. It is a likely way,
not a proof: what a function does to its arguments, or an LM's thoughts, cannot be seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...events import CellRan
from ...remote.guest.globals import GLOBALS
from ..outputs import text_of
from .names import Statement, statements

Why: TypeAlias = Literal["answer", "bound", "shown", "seen"]
_INFORMING = frozenset(
    g.name for g in GLOBALS if g.answered_by in ("lm", "child", "human") or g.asks_by is not None
)
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
MAX_HOPS = 20
"""Times that an LM may have read and written down a value on its way."""
_SHORTEST_LINE = 8
_LONGEST_SHOWN = 200_000


@dataclass(frozen=True)
class FlowStep:
    """A cell on the way to the answer.

    ``why``: it gave the ``"answer"``; it ``"bound"`` (or changed) ``names`` that were read later;
    it had ``"shown"`` what the LM then wrote down; or the LM had ``"seen"`` its output before it
    wrote an answer of its own. ``asks`` says whether its calls can have reached the answer,
    ``reads_context`` whether the context can have, past any call.
    """

    cell: int
    turn: int
    why: Why
    names: tuple[str, ...]
    asks: bool
    reads_context: bool


def steps(
    cells: Sequence[CellRan],
    answer: str | None,
    *,
    restarted_after: int = 0,
    tools: frozenset[str] = frozenset(),
) -> list[FlowStep]:
    """Return the way back, the answer's cell first; empty where no cell gave one.

    ``restarted_after`` is the last cell whose variables were lost, if any; ``tools`` are names of
    functions of the human's whose calls are recorded.
    """
    return _Walk(cells, answer, restarted_after, tools).steps()


class _Walk:
    def __init__(
        self,
        cells: Sequence[CellRan],
        answer: str | None,
        restarted_after: int,
        tools: frozenset[str],
    ) -> None:
        self._cells = cells
        self._answer = answer
        self._restarted_after = restarted_after
        self._sources = [statements(cell.source) for cell in cells]
        self._modules = _modules(self._sources)
        self._asking = _asking(self._sources, _INFORMING | tools)
        self._outputs: dict[int, str] = {}
        self._needed: set[str] = set()
        self._wanted: set[str] = set()  # texts that an LM may have read before it wrote them

    def steps(self) -> list[FlowStep]:
        last = self._answering()
        if last is None:
            return []
        whole = not any(statement.answers for statement in self._sources[last])
        found = [self._back(last, "answer", whole=whole)]
        found += self._bound_before(last)
        for _ in range(MAX_HOPS):
            if any(step.asks or step.reads_context for step in found):
                break
            written = self._index(found[-1])
            shown = self._showing(written)
            if shown is None:
                return found + self._seen(written)
            self._needed.clear()
            found.append(self._back(shown, "shown", whole=True))
            found += self._bound_before(shown)
        return found

    def _index(self, step: FlowStep) -> int:
        return next(i for i, cell in enumerate(self._cells) if cell.cell == step.cell)

    def _answering(self) -> int | None:
        """Return the cell that gave the answer; else the last that would have."""
        given = [i for i, cell in enumerate(self._cells) if cell.answer is not None and cell.turn]
        if given:
            return given[-1]
        tried = [
            i
            for i, cell in enumerate(self._cells)
            if cell.turn and any(statement.answers for statement in self._sources[i])
        ]
        return tried[-1] if tried and self._answer is not None else None

    def _bound_before(self, index: int) -> list[FlowStep]:
        found = []
        for earlier in range(index - 1, -1, -1):
            if self._cells[earlier].cell <= self._restarted_after:
                break
            if any(s.gives & self._needed for s in self._sources[earlier]):
                found.append(self._back(earlier, "bound"))
        return found

    def _back(self, index: int, why: Why, *, whole: bool = False) -> FlowStep:
        """Go back through one cell. Of the answer's cell what gives the answer is needed, of a
        ``whole`` one all, of others what gives a needed name."""
        given: set[str] = set()
        read: set[str] = set()
        for statement in reversed(self._sources[index]):
            answers = why == "answer" and statement.answers
            if not (whole or answers or statement.gives & self._needed):
                continue
            given |= statement.gives & self._needed
            read |= statement.reads
            self._wanted |= statement.constants
            self._needed -= statement.sets
            self._needed |= statement.reads - self._modules
        cell = self._cells[index]
        names = tuple(sorted(given)) if why == "bound" else ()
        asks = bool(read & self._asking)
        return FlowStep(
            cell=cell.cell,
            turn=cell.turn,
            why=why,
            names=names,
            asks=asks,
            reads_context="context" in read,
        )

    def _showing(self, before: int) -> int | None:
        """Return the last cell before whose output has the answer, or else something out of it."""
        shown = [self._output(index) for index in range(before)]
        for texts in _evidence(self._answer or "", self._wanted):
            for index in range(before - 1, -1, -1):
                if any(stands_in(text, shown[index]) for text in texts):
                    return index
        return None

    def _seen(self, before: int) -> list[FlowStep]:
        found = []
        for index in range(before - 1, -1, -1):
            cell = self._cells[index]
            if cell.turn and self._output(index):
                read = frozenset[str]().union(*(s.reads for s in self._sources[index]))
                found.append(
                    FlowStep(
                        cell=cell.cell,
                        turn=cell.turn,
                        why="seen",
                        names=(),
                        asks=bool(read & self._asking),
                        reads_context="context" in read,
                    )
                )
        return found

    def _output(self, index: int) -> str:
        if index not in self._outputs:
            self._outputs[index] = text_of(self._cells[index].outputs, _LONGEST_SHOWN)
        return self._outputs[index]


def stands_in(text: str, whole: str) -> bool:
    """Return whether it stands there literally, not as a part of a longer word or number."""
    return text in whole and bool(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", whole))


def _modules(sources: list[list[Statement]]) -> frozenset[str]:
    """Return the names that are imported and nothing else: no answer comes from them."""
    every = [statement for cell in sources for statement in cell]
    imported = frozenset[str]().union(*(statement.imports for statement in every))
    made = frozenset[str]().union(*(statement.gives - statement.imports for statement in every))
    return imported - made


def _asking(sources: list[list[Statement]], names: frozenset[str]) -> frozenset[str]:
    """Return the names through which a cell can ask: the functions, and what was made with them."""
    found = set(names)
    makers = [s for cell in sources for s in cell if s.gives]
    known = 0
    while len(found) > known:
        known = len(found)
        for statement in makers:
            if statement.reads & found:
                found |= statement.gives
    return frozenset(found)


def _evidence(answer: str, constants: set[str]) -> list[list[str]]:
    """Return texts to look for in outputs, the stronger evidence first."""
    whole = answer.strip()
    lines = [line.strip() for line in whole.splitlines()]
    written = [text.strip() for text in constants if _NUMBER.fullmatch(text.strip())]
    return [
        [whole] if whole else [],
        [line for line in lines if len(line) >= _SHORTEST_LINE][:50],
        list(dict.fromkeys([*_NUMBER.findall(whole), *written]))[:50],
    ]
