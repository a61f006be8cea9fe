"""What a notebook alone says of its node, in the form of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ...answers import answer_fields
from ...errors import RecordError
from ...events import (
    CallEnded,
    CellRan,
    ContextInfo,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    Replied,
    RunStarted,
    Usage,
    to_dict,
)
from .. import blobs
from ..forms import event_of, known_part
from ..packing import unpack
from ..summary import RUNNING
from .node import answer_in
from .pages import About, Page

_TURN = re.compile(r"(?:##|######) Turn (\d{1,9})(?: · [^\n]*)?(?:\n\n|\Z)")
"""The heading of a turn; in older notebooks it has six signs and the number alone."""


def events_of(page: Page) -> tuple[list[Event], list[str]]:
    """Return the events, and what is wrong with those that are left out because they are not what
    they should be. There are no prompts and no times (all are 0)."""
    about = unpack(page.about, _fetcher(page))
    events: list[Event] = []
    unfit: list[str] = []
    for made in _made(page, about):
        try:
            events.append(event_of(to_dict(made)))
        except RecordError as error:
            unfit.append(str(error))
    return events, unfit


def _fetcher(page: Page) -> Callable[[Any, Any], str]:
    def fetch(name: Any, chars: Any) -> str:
        try:
            return blobs.text(page.folder / "blobs", name, chars)
        except (OSError, ValueError):
            return f"[a text of {chars} characters that is not beside the notebook]"

    return fetch


def _made(page: Page, about: About) -> Iterator[Event]:
    yield RunStarted(
        run=about["run"],
        question=about["question"],
        settings=about["settings"],
        versions=about["versions"],
        time=0.0,
    )
    yield NodeStarted(
        node=about["node"],
        parent=about["parent"],
        depth=about["depth"],
        call=None,
        question=about["question"],
        model=about["model"],
        context=about["context"] and known_part(ContextInfo, about["context"]),
        time=0.0,
    )
    yield from _cells(page, about)
    if about["status"] != RUNNING:
        yield NodeEnded(
            node=about["node"],
            status=about["status"],
            confirmed=about["confirmed"],
            reason=about["reason"],
            time=0.0,
            **answer_fields(answer_in(about)),
        )


def _cells(page: Page, about: About) -> Iterator[Event]:
    node, rows = about["node"], {row["cell"]: row for row in about["cells"]}
    calls: dict[int, list[CallEnded]] = {}
    for row in about["calls"]:
        calls.setdefault(row["cell"], []).append(_call(node, row))
    for cell in page.notebook["cells"]:
        number = cell["metadata"].get("rlm", {}).get("cell")
        if cell["cell_type"] == "markdown" and (turn := _TURN.match(cell["source"])):
            yield _reply(about, int(turn[1]), cell["source"][turn.end() :])
        elif cell["cell_type"] == "code" and number in rows:
            yield from calls.pop(number, [])
            yield _ran(node, cell, rows[number])
            yield from (_restarted(node, r) for r in about["restarts"] if r["cell"] == number)
    for waiting in calls.values():  # their cell still runs
        yield from waiting


def _reply(about: About, turn: int, text: str) -> Replied:
    return Replied(
        node=about["node"],
        turn=turn,
        text=text,
        model=about["model"],
        finish=None,
        usage=Usage(),
        seconds=0.0,
        time=0.0,
    )


def _ran(node: str, cell: dict[str, Any], row: dict[str, Any]) -> CellRan:
    return CellRan(
        node=node,
        cell=row["cell"],
        turn=row["turn"],
        source=cell["source"],
        author=row["author"],
        status=row["status"],
        outputs=list(cell["outputs"]),
        notices=[],
        execution_count=cell.get("execution_count"),
        seconds=row["seconds"],
        time=0.0,
        wanted=row.get("wanted"),
        **answer_fields(answer_in(row)),
    )


def _restarted(node: str, row: dict[str, Any]) -> KernelRestarted:
    return KernelRestarted(
        node=node,
        cell=row["cell"],
        reason=row["reason"],
        lost=row["lost"],
        time=0.0,
        back_to=row.get("back_to"),
        by=row.get("by", ""),
    )


def _call(node: str, row: dict[str, Any]) -> CallEnded:
    return CallEnded(
        node=node,
        cell=row["cell"],
        call=row["call"],
        op=row["op"],
        index=row["index"],
        count=row["count"],
        key=row["key"],
        occurrence=row["occurrence"],
        prompt="",
        asked=row["asked"],
        model=None,
        reply=row.get("reply"),
        error=row.get("error"),
        usage=Usage(),
        child=row["child"],
        started=0.0,
        seconds=0.0,
        about=row.get("about", {}),
    )
