"""One turn: a reply of the LM, the cells made of it, and what came of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..answers import Answer
from ..errors import LMStuck
from ..lm import cells
from ..lm.client import Reply
from ..record.equality import digest
from ..record.outputs import text_of
from ..repl.running_cell import Author, Ran
from . import prompts
from .consent import Decision
from .memory import Intervention

LOOKED_CHARS = 1000
"""So much of an output tells that it is not empty."""


class Repetition:
    """Knows the cell that an LM wrote last, which would give the same if it ran again."""

    def __init__(self) -> None:
        self._last: str | None = None

    def take(self, source: str, *, may_change: bool) -> None:
        """A cell ran; run again it ``may_change`` what it gives."""
        self._last = None if may_change else source

    def allow(self) -> None:
        """Let the same cell run again."""
        self._last = None

    def of(self, sources: Sequence[str]) -> bool:
        """Return whether these sources are that cell, and nothing else."""
        return len(sources) == 1 and sources[0] == self._last


class EqualReplies:
    """Knows how often an LM has said the same of late and got the same for it."""

    MOST = 3
    LATE = 6
    """Turns that are looked at: one that alternates between two replies is stuck, too."""

    def __init__(self) -> None:
        self._gave: dict[str, list[str]] = {}
        self._turns: dict[str, list[int]] = {}
        self._said = ""

    def take(self, number: int, text: str, rans: Sequence[Ran], *, recalled: bool) -> None:
        """A turn is over; one that is ``recalled`` from a record is another run's."""
        if recalled:
            self._turns.clear()
            return
        said = self._said = text.strip()
        gave = [digest(ran.outputs) for ran in rans]
        if said not in self._turns or gave not in ([], self._gave[said]):
            self._gave[said], self._turns[said] = gave, []
        self._turns[said].append(number)

    def stuck(self, number: int) -> LMStuck | None:
        """Return why the next turn is to be the last; None where it is not."""
        turns = [turn for turn in self._turns.get(self._said, ()) if turn > number - self.LATE]
        return LMStuck(turns) if len(turns) >= self.MOST else None


@dataclass
class Turn:
    """``cells`` are what is to run, with their authors; ``notes`` what the LM is told of its reply;
    ``rans`` how cells have ended so far, and ``numbers`` theirs. ``repeated`` says that its cell is
    not run again, and ``doubt`` why the answer of a cell is not taken yet; ``unrun`` counts blocks
    that are not in ``cells``, since they were not run in the record."""

    cells: list[tuple[str, Author]]
    notes: list[str]
    intervention: Intervention | None = None
    repeated: bool = False
    rans: list[Ran] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    doubt: str | None = None
    unrun: int = 0
    decisions: list[Decision] = field(default_factory=list)
    """The human's, on its cells before they ran."""

    @property
    def numbered(self) -> list[tuple[int, Ran]]:
        """Return how its cells ended, each with its number."""
        return list(zip(self.numbers, self.rans, strict=True))

    @property
    def over(self) -> bool:
        """Return whether the last cell was the last to run: it failed, or gave an answer."""
        if self.intervention is not None and self.intervention.kept is not None:
            return False
        return self.rans[-1].status != "ok" or self.rans[-1].answer is not None

    @property
    def useful(self) -> bool:
        """Return whether its last cell ended well, and there is something to read."""
        shown = any(text_of(ran.outputs, LOOKED_CHARS).strip() for ran in self.rans)
        return shown and self.rans[-1].status == "ok"

    @property
    def _given(self) -> Answer | None:
        return next((ran.answer for ran in self.rans if ran.answer is not None), None)

    @property
    def answer(self) -> Answer | None:
        """The answer of a cell, unless the human did not take it."""
        return self._given if self.intervention is None else None

    def closing(self) -> list[str]:
        """Return what the LM is told behind the outputs."""
        if self.doubt is not None:
            return [self.doubt]
        rejected = any(decided.choice == "rejected" for decided in self.decisions)
        left = len(self.cells) - len(self.rans) + self.unrun - rejected
        unrun = [prompts.NOT_RUN.format(count=left)] if left and self._given is None else []
        return [*self.notes, *unrun, *self._human_words()]

    def _human_words(self) -> list[str]:
        human, words = self.intervention, _of_decisions(self.decisions, len(self.cells))
        if human is not None and human.edit is not None:
            words.append(prompts.EDITED.format(source=human.edit))
        if human is not None and self._given is not None:
            words.append(prompts.OVERRULED.format(answer=self._given.text))
        if human is not None and human.note:
            words.append(prompts.HUMAN.format(note=human.note))
        return words


def _of_decisions(decisions: Sequence[Decision], cells: int) -> list[str]:
    """Return what the LM is told of the human's decisions on its cells."""
    words = []
    for number, decided in enumerate(decisions, 1):
        if decided.choice == "edited":
            words.append(prompts.CHANGED.format(source=decided.source))
        if decided.choice == "rejected":
            cell = "cell" if cells == 1 else f"cell {number}"
            words.append(prompts.REJECTED.format(cell=cell))
        if decided.word:
            words.append(prompts.HUMAN.format(note=decided.word))
    return words


def turn_of(
    reply: Reply,
    sources: Sequence[str],
    repetition: Repetition,
    human: Intervention | None,
    *,
    again: bool,
    recorded: Sequence[tuple[str, Author]] | None,
) -> Turn:
    """Return the turn that a reply with these ``sources`` begins, with the cells that are to run:
    those that were ``recorded``, where it is remembered. The cell of the turn before runs ``again``
    or not."""
    notes = _notes(reply, len(sources))
    written: list[tuple[str, Author]] = [(source, "lm") for source in sources[: cells.MAX_CELLS]]
    unrun = 0
    if recorded is not None:
        unrun = max(len(written) - len(recorded), 0)
        written = list(recorded)
    if human is not None and human.kept is not None:
        return Turn(_changed(written[: human.kept], human.edit), notes, human)
    if repetition.of(sources):
        notes.append(prompts.RAN_AGAIN if again else prompts.REPEATED)
        return Turn(written if again else [], notes, human, repeated=True)
    if not sources and not notes:
        none = prompts.NO_CODE if again else prompts.NO_QUERY
        notes = [prompts.THOUGHTS_ALONE if reply.only_thought else none]
    return Turn(written, notes, human, unrun=unrun)


def _notes(reply: Reply, count: int) -> list[str]:
    """Return what the LM is told of a reply with so many cells, before any has run."""
    notes = []
    if count > cells.MAX_CELLS:
        notes.append(prompts.MORE_CELLS.format(most=cells.MAX_CELLS))
    if reply.cut_short:
        notes.append(prompts.CUT_REPLY.format(finish=reply.finish))
    return notes


def _changed(kept: list[tuple[str, Author]], edit: str | None) -> list[tuple[str, Author]]:
    return kept if edit is None else [*kept, (edit, "human")]
