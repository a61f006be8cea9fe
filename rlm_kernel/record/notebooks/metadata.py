"""``metadata.rlm`` of a notebook: what is needed to replay its node alone, and to add it up.

Its form is ``schema/trajectory-2.4.json``. Nothing here looks at cell ids: tools renumber them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ...answers import Answer, answer_fields, answer_of
from ...events import (
    CallEnded,
    CellRan,
    ContextInfo,
    ContextSet,
    Event,
    KernelRestarted,
    RunStarted,
)
from ..equality import VERSION, digest, sha256
from ..files import JOURNAL
from ..format_version import FormatVersion
from ..markdown import shorten
from ..packing import pack
from ..summary import Node
from .language import whole

SCHEMA = FormatVersion(2, 4)
"""The version of ``metadata.rlm`` that is written now; in those before 2.1 the major version is
that of the rules of comparison too."""
ROOT_PAGE = "trajectory.ipynb"
OWNER = "owner"
"""The setting of a run that marks the process whose kernel it was asked in. It is in the record
alone."""


@dataclass(frozen=True)
class NotebookContext:
    """The place of a node in its run. ``nodes`` are the node and all below it, as ``Tree.below``
    gives them.

    ``folder`` says that a ``blobs`` folder goes with the notebook, so that long texts may be
    referred to instead of copied. ``seal`` is the record's, once it has one.
    """

    run: RunStarted | None = None
    nodes: tuple[Node, ...] = ()
    folder: bool = False
    seal: str | None = None


def page(node: str, *, root: bool) -> str:
    """Return the path of a node's notebook in its run folder."""
    return ROOT_PAGE if root else f"calls/{node}.ipynb"


def describe(events: list[Event], node: Node, place: NotebookContext) -> dict[str, Any]:
    """Return the whole of ``metadata.rlm`` as plain JSON data."""
    run = place.run
    data = {
        "schema": str(SCHEMA),
        "rules": str(VERSION),
        "run": run.run if run else "",
        "settings": _shown_settings(run) if run else {},
        "versions": run.versions if run else {},
        **row(node),
        "question": node.question,
        "context": _context(node.context) if node.context else None,
        **_answer(node.given),
        "cells": [cell_row(event) for event in events if isinstance(event, CellRan)],
        "calls": [_call_row(event) for event in events if isinstance(event, CallEnded)],
        "restarts": [_restart_row(each) for each in events if isinstance(each, KernelRestarted)],
        **_contexts(events),
        "tree": [row(below) for below in place.nodes[1:]],
        "record": record(node.parent is None, place.seal),
    }
    # The replies of calls stay as they are: a replay may print them.
    numbers = {name: part if name == "calls" else whole(part) for name, part in data.items()}
    packed: dict[str, Any] = pack(numbers, sha256 if place.folder else None)
    return packed


def _shown_settings(run: RunStarted) -> dict[str, Any]:
    """Return the settings without the mark of a process, which says nothing to others."""
    return {name: value for name, value in run.settings.items() if name != OWNER}


def _contexts(events: list[Event]) -> dict[str, Any]:
    """Return the contexts beside the node's own, each with the number of the cell before which it
    was set, if any came; nothing where there are none."""
    rows: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, ContextSet):
            rows.append({"before": None, "context": _context(event.context)})
        elif isinstance(event, CellRan):
            for waiting in rows:
                if waiting["before"] is None:
                    waiting["before"] = event.cell
    return {"contexts": rows} if rows else {}


def _context(info: ContextInfo) -> dict[str, Any]:
    """Return a context without what was for the LM's first look, which the journal has."""
    fields = dataclasses.asdict(info)
    shown = ("notes", "overview", "python", "modules")
    return {name: fields[name] for name in fields if name not in shown}


def _answer(answer: Answer | None) -> dict[str, Any]:
    """Return an answer's fields, its evidence only where it has any."""
    fields = answer_fields(answer)
    evidence = [dataclasses.asdict(one) for one in fields.pop("evidence", [])]
    return {**fields, **({"evidence": evidence} if evidence else {})}


def record(root: bool, seal: str | None) -> dict[str, str] | None:
    if seal is None:
        return None
    return {"path": JOURNAL if root else f"../{JOURNAL}", "seal": seal}


def row(node: Node) -> dict[str, Any]:
    """Return what a node used, without its long texts."""
    return {
        "question": shorten(node.question, 200),
        "node": node.id,
        "parent": node.parent,
        "depth": node.depth,
        "model": node.model,
        "status": node.status,
        "confirmed": node.confirmed,
        "reason": node.reason,
        "answer": shorten(node.answer, 200) if node.answer is not None else None,
        "turns": node.turns,
        "cell_count": node.cells,
        "sub_calls": node.calls,
        "usage": dataclasses.asdict(node.own),
        "total": dataclasses.asdict(node.total),
        "seconds": node.seconds,
    }


def cell_row(event: CellRan) -> dict[str, Any]:
    return {
        "cell": event.cell,
        "turn": event.turn,
        "author": event.author,
        "status": event.status,
        "source": sha256(event.source),
        "outputs": digest(event.outputs, concurrent=event.concurrent),
        **({"concurrent": True} if event.concurrent else {}),
        **_answer(answer_of(event)),
        **({} if event.wanted is None else {"wanted": event.wanted}),
        "seconds": event.seconds,
        "inputs": event.inputs,
    }


def _restart_row(event: KernelRestarted) -> dict[str, Any]:
    back = {} if event.back_to is None else {"back_to": event.back_to, "by": event.by}
    return {"cell": event.cell, "reason": event.reason, "lost": event.lost, **back}


def _call_row(event: CallEnded) -> dict[str, Any]:
    made = {
        name: getattr(event, name)
        for name in ("cell", "call", "op", "key", "occurrence", "index", "count", "asked", "child")
    }
    about = {"about": event.about} if event.about else {}
    answered = {"reply": event.reply} if event.error is None else {"error": event.error}
    return made | about | answered
