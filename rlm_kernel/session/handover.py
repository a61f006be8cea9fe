"""A question that goes on in its own kernel after the human had a hand in it: ``%rlm continue``.

The kernel holds what it holds; the LM is given what it was told before, what came of its last
cells, and what the human has done since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..events import ROOT, CellRan, RunEnded
from ..inputs.forms import Form, form_in
from ..lm.model import Message
from ..record.outputs import cut, text_of
from ..replay.continuation import read_run
from ..replay.memory import NodeMemory, remembered
from ..rlm import facts, prompts
from ..rlm.history import Opening
from ..rlm.prompts import STYLES
from ..settings.limits import Ledger, Limits

CONTINUE = "continue"
"""The kind of origin of a run that goes on in its own kernel."""
SHOWN_CHARS = 4000
"""The most that is shown of a turn's outputs, and of each cell of the human's."""


@dataclass(frozen=True)
class Before:
    """A run as far as it is gone on from: its question, what the LM was told and said, and what its
    last cells gave; ``form`` is that of its answer, if it must have one. ``limit`` is that which
    ended it, if one did; an LM that is ``told`` facts has what it may use now among them."""

    question: str
    opening: Opening
    origin: dict[str, Any]
    form: Form | None = None
    limit: str | None = None
    told: bool = False


def before(folder: Path, cell: int | None = None) -> Before:
    """Return the run in this folder up to its cell of this number (0: before the first), or to its
    end. Blocks.

    Raises ``UsageError`` where there is no record, or no LM wrote in it.
    """
    events, started, node = read_run(folder)
    past = remembered(folder, events).of(ROOT)
    own = past.own_cells
    if cell is None:
        cell = own[-1].cell if own else 0
    turn = past.cells[cell].turn if cell else 0
    messages = _told(past, turn)
    if not messages:
        raise UsageError(f"{folder}: the LM was told nothing in it: ask the question again")
    if turn:
        messages.append(_came_of([each for each in own if each.turn == turn], cell))
    kind = past.replies[0].text if 0 in past.replies else ""
    origin = {"kind": CONTINUE, "run": started.run, "cell": cell}
    ended = events[-1] if isinstance(events[-1], RunEnded) else None
    by_limit = ended is not None and ended.status == "limit" and cell == max(past.cells, default=0)
    return Before(
        question=node.question,
        opening=Opening(messages, kind),
        origin=origin,
        form=form_in(started.settings),
        limit=ended.reason if ended is not None and by_limit else None,
        told=not STYLES[str(started.settings.get("prompt") or "strong")].remind,
    )


def _came_of(cells: Sequence[CellRan], last: int) -> Message:
    """Return what the LM is told of a turn's cells up to the ``last`` of these numbers."""
    done = [each for each in cells if each.cell <= last]
    texts = [text_of(each.outputs, SHOWN_CHARS) for each in done]
    notices = [notice for each in done for notice in each.notices]
    left = len(cells) - len(done)
    notes = [prompts.NOT_RUN.format(count=left)] if left else []
    return prompts.message("user", prompts.output(texts, notices, notes))


def _told(past: NodeMemory, turn: int) -> list[Message]:
    """Return the messages up to and with the reply of this turn; for 0 those before the first."""
    messages: list[Message] = []
    for number in sorted(past.prompts):
        if number == 0 or number > max(turn, 1):
            continue
        for prompted in past.prompts[number]:
            messages = [*([] if prompted.compacted else messages), *prompted.messages]
        if number <= turn and number in past.replies:
            messages.append(prompts.message("assistant", past.replies[number].text))
    return messages


def opened(
    began: Before,
    cells: Sequence[CellRan],
    note: str,
    limits: Limits,
    *,
    lost: bool = False,
    edited: Sequence[tuple[int, str]] = (),
) -> Opening:
    """Return what the LM is told when it goes on: the cells that the human has run since, the
    LM's own that were ``edited`` and not run (turn and source), a note, what it may use under these
    limits."""
    words = [prompts.KERNEL_IS_NEW] if lost else []
    if began.limit is not None and began.told:
        words += [prompts.LIMITED.format(reason=began.limit)] + [prompts.SINCE] * bool(cells)
    else:
        words += [prompts.BY_HAND] if cells else [prompts.STOPPED]
    words += [
        f"```python\n{cell.source}\n```\nOutput:\n{text_of(cell.outputs, SHOWN_CHARS) or '(none)'}"
        for cell in cells
    ]
    ran = {cell.source for cell in cells}
    words += [
        prompts.TOUCHED.format(turn=turn, source=cut(source, SHOWN_CHARS))
        for turn, source in edited
        if source not in ran
    ]
    words += [prompts.HUMAN.format(note=note)] if note else []
    words += [facts.allowance(limits, Ledger(limits).left)] if began.told else []
    words.append(prompts.GO_ON)
    *earlier, last = began.opening.messages
    text = "\n\n".join(words)
    if last["role"] == "user":
        messages = [*earlier, prompts.with_words(last, text)]
    else:
        messages = [*earlier, last, prompts.message("user", text)]
    return Opening(messages, began.opening.kind)
