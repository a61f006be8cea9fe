"""What happened in the turns of a node, as cells in its order."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from ...events import (
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
)
from .. import decisions, headings, restarts
from ..markdown import details, inert, isolated, literal, quote, shorten
from ..numbers import duration
from .cells import Cells, as_shown
from .contexts import context_set
from .language import whole
from .prose import reminders, thoughts, without_blocks
from .subcalls import sub_calls

CODE_CHARS = 32
"""The most of a line of code that stands in a heading."""


def tell(cells: Cells, events: list[Event]) -> None:
    """Add the cells of the turns, in the order in which things happened."""
    calls: dict[int, list[CallEnded]] = {}
    ran, heads = _cells_of_turns(events), _Headings(events)
    standing = restarts.Standing(events)
    decided = 0
    if cells.node.context is not None and any(map(_before_question, events)):
        cells.markdown("prelude", "## Before the question")
    author = "human"
    for event in events:
        match event:
            case ContextSet():
                cells.markdown("context-set", context_set(event.context))
            case Prompted():
                _prompted(cells, event, ran.get(event.turn - 1, []))
            case Replied():
                _replied(cells, event, ran.get(event.turn, []), heads)
            case CallEnded():
                calls.setdefault(event.cell, []).append(event)
            case CellRan():
                author = _signed(cells, event, author)
                undone = standing.notice(event.node, event.cell)
                _ran(cells, event, calls.pop(event.cell, []), undone)
            case CellDecided():
                decided += 1
                cells.markdown(f"decision-{decided}", quote(decisions.sentence(event)))
            case KernelRestarted():
                _restarted(cells, event)
            case RunStarted() | NodeStarted() | NodeEnded() | RunEnded():
                pass  # in the header and in the answer
            case ReplyDelta() | CellProposed() | CellStarted() | OutputMade() | CallStarted():
                pass  # for the screen only
            case _:
                assert_never(event)
    for number, made in calls.items():  # the cell still runs
        cells.markdown(f"cell-{number}-calls", sub_calls(made, cells.link))


class _Headings:
    """The headings of a node's turns, to be asked in their order."""

    def __init__(self, events: list[Event]) -> None:
        self._course = headings.Course()
        made = [event for event in events if isinstance(event, CallEnded) and event.op != "tool"]
        self._calls = Counter(event.cell for event in made)
        self._decided = [event for event in events if isinstance(event, CellDecided)]
        turns = (Prompted, Replied, NodeEnded)
        over = [event for event in events if isinstance(event, turns)]
        self._under_way = over[-1] if over and isinstance(over[-1], Replied) else None

    def of(self, event: Replied, ran: list[CellRan], text: str) -> str:
        """Return the heading of a turn, whose prose is ``text``."""
        numbers = [cell.cell for cell in ran]
        # The code stands right below.
        written = headings.coded((cell.source for cell in ran), CODE_CHARS)
        title = isolated(literal(headings.said(text) or written))
        decided = [each for each in self._decided if each.turn == event.turn]
        status = self._course.status(event, ran, decided)
        if event is self._under_way and not ran:
            status = ""
        facts = [
            f"## Turn {event.turn}",
            headings.numbered(numbers),
            title,
            headings.calls(sum(self._calls[number] for number in numbers)),
            f"**{status}**" if status not in ("", "ok") else status,
        ]
        return " · ".join(filter(None, facts))


def _replied(cells: Cells, event: Replied, ran: list[CellRan], heads: _Headings) -> None:
    sources = [cell.source for cell in ran]
    text = inert(without_blocks(event.text, sources))
    if not event.turn:
        cells.markdown("turn-0", details("Kind of question", text))
        return
    thought = thoughts(event.thoughts)
    heading = heads.of(event, ran, without_blocks(event.text, sources))
    if text or sources or thought:  # one of code only has its heading, which links lead to
        cells.markdown(f"turn-{event.turn}", f"{heading}\n\n{text}".strip())
    if thought:
        cells.markdown(f"turn-{event.turn}-thoughts", thought)


def _signed(cells: Cells, event: CellRan, author: str) -> str:
    """Say who wrote a cell where that is not the one whom one expects: the human before the
    question, where ``author`` wrote the last cell, and the LM in its turns."""
    expected = "lm" if event.turn else author
    if event.author != expected:
        who = "Written by the human" if event.author == "human" else "Written by the LM, earlier"
        cells.markdown(f"cell-{event.cell}-author", f"### {who}")
    return event.author if event.turn == 0 else "human"


def _before_question(event: Event) -> bool:
    return isinstance(event, CellRan) and event.turn == 0


def _cells_of_turns(events: list[Event]) -> dict[int, list[CellRan]]:
    found: dict[int, list[CellRan]] = {}
    for event in events:
        if isinstance(event, CellRan) and event.author == "lm" and event.turn:
            found.setdefault(event.turn, []).append(event)
    return found


def _prompted(cells: Cells, event: Prompted, ran: list[CellRan]) -> None:
    """Add what the LM was told beside the outputs of its cells; the task is not shown again."""
    if event.compacted:
        texts = ["Earlier turns no longer fitted and were left out."]
    elif event.turn > 1:
        texts = reminders(event.messages, ran)
    else:
        texts = []
    if texts:
        shown = "\n".join(shorten(text, 800) for text in texts)
        cells.markdown(f"turn-{event.turn}-reminder", "> **To the LM**<br>\n" + quote(shown))


def _ran(cells: Cells, event: CellRan, calls: list[CallEnded], undone: list[str]) -> None:
    name = f"cell-{event.cell}"
    about = {
        "author": event.author,
        "turn": event.turn,
        "cell": event.cell,
        "status": event.status,
        "seconds": event.seconds,
        "digest": next(cells.digests),
    }
    tags = {"tags": ["raises-exception"]} if event.status != "ok" else {}
    # Its number in the record, by which it is spoken of everywhere; that of its kernel says less.
    number = None if event.execution_count is None else event.cell
    outputs = [as_shown(output, event.source, number) for output in event.outputs]
    cells.code(name, event.source, whole({"rlm": about}) | tags, outputs, number)
    if calls:
        cells.markdown(f"{name}-calls", sub_calls(calls, cells.link))
    notices = [*_ending(event), *event.notices, *undone]
    if notices:
        cells.markdown(f"{name}-notices", quote("\n".join(shorten(n, 800) for n in notices)))


def _ending(event: CellRan) -> list[str]:
    after = f"after {duration(event.seconds)}"
    return {
        "timeout": [f"The cell was stopped {after}: its time was over."],
        "interrupted": [f"The cell was interrupted {after}."],
        "died": [f"The kernel died in this cell {after}."],
    }.get(event.status, [])


def _restarted(cells: Cells, event: KernelRestarted) -> None:
    lost = ", ".join(event.lost)
    text = restarts.sentence(event, "The kernel was started again") + (
        f"\nLost: {lost}" if lost else ""
    )
    cells.markdown(f"cell-{event.cell}-restart", quote(shorten(text, 2000)))
