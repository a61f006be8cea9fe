"""What authors were sent and what they replied, as rows to learn from.

A row holds the messages as the record has them: the history that was sent before a turn, shortened
where it was. Pictures are left out, thoughts are not repeated, and nothing of the settings is here.
All rows have the same fields of the same types, none of them null, so that they load as one table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..errors import RecordError
from ..events import NodeEnded, Prompted, Replied
from ..lm.model import Message, text_of
from ..record.markdown import printable
from ..record.recording import Recording
from ..record.summary import Node
from ..rlm.prompts import ONLY_THOUGHT, message

Format: TypeAlias = Literal["sft", "chat"]
"""What a row is: a turn, with the messages that were sent as ``prompt`` and the reply as
``completion``; or a node of a run, with all its ``messages``. Trainers of chat models take both."""
Right: TypeAlias = Callable[[Path], bool | None]
"""Returns whether the run in a folder was answered right; None where nobody knows."""
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The runs and nodes that are taken: ``accepted`` ones gave an answer that is confirmed,
    ``right`` ones the right answer, ``ended`` ones came to their own end with a record that is
    whole, and ``asking`` ones asked sub-LMs or children."""

    right: bool = False
    accepted: bool = False
    ended: bool = False
    asking: bool = False


@dataclass
class Count:
    """Counts what became of runs, and of rows."""

    runs: int = 0
    rows: int = 0
    unfit: int = 0
    """Runs that the filters left out."""
    twice: int = 0
    secret: int = 0
    damaged: list[str] = field(default_factory=list)


def rows(
    paths: Iterable[Path],
    form: Format,
    wanted: Wanted,
    count: Count,
    *,
    right: Right = lambda folder: None,
    secrets: Sequence[str] = (),
) -> Iterator[Row]:
    """Yield the rows of the runs at the paths, each once, and ``count`` what is left out: a run
    whose record is damaged, a row with one of the ``secrets`` in it, one that came before. Reads
    one run at a time. Blocks."""
    seen: set[bytes] = set()
    for path in paths:
        try:
            found = list(_of_run(path, form, wanted, right))
        except RecordError as error:
            count.damaged.append(str(error))
            continue
        count.runs += bool(found)
        count.unfit += not found
        for row in found:
            text = json.dumps([row.get(key) for key in ("messages", "prompt", "completion")])
            digest = hashlib.sha256(text.encode()).digest()
            if any(json.dumps(secret)[1:-1] in text for secret in secrets):
                count.secret += 1
            elif digest in seen:
                count.twice += 1
            else:
                seen.add(digest)
                count.rows += 1
                yield row


def line(row: Row) -> bytes:
    """Return a row as a line of JSON lines."""
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _of_run(path: Path, form: Format, wanted: Wanted, right: Right) -> Iterator[Row]:
    recording = Recording.open(path)
    if recording.alone:
        raise RecordError(f"{path}: a notebook alone has no prompts: name the run's folder")
    if recording.damage is not None:
        raise RecordError(f"{path}: {recording.damage}")
    verdict = right(recording.folder)
    if not recording.tree.nodes or not _is_wanted(recording, wanted, verdict):
        return
    known = {True: "right", False: "wrong", None: "unknown"}[verdict]
    dialogues = _dialogues(recording, form)
    for node in recording.tree.nodes:
        if node.turns and _is_fit(node, wanted):
            about = _about(recording.tree.run, node, known)
            yield from ({**row, **about} for row in dialogues.get(node.id, []))


def _is_wanted(recording: Recording, wanted: Wanted, verdict: bool | None) -> bool:
    """Return whether a run is taken: its children are with it, as far as they are fit."""
    whole = recording.sealed is True and recording.ended is not None
    return (
        (not wanted.right or verdict is True)
        and (not wanted.ended or whole)
        and _is_fit(recording.root, wanted)
    )


def _is_fit(node: Node, wanted: Wanted) -> bool:
    accepted = node.status == "answered" and node.confirmed
    return (
        (not (wanted.accepted or wanted.right) or accepted)
        and (not wanted.ended or node.status == "answered")
        and (not wanted.asking or node.calls > 0 or node.parent is not None)
    )


def _about(run: str, node: Node, right: str) -> Row:
    return {
        "run": run,
        "node": node.id,
        "model": node.model,
        "question": printable(node.question),
        "answer": printable(node.answer or ""),
        "status": node.status,
        "confirmed": node.confirmed,
        "right": right,
        "turns": node.turns,
        "calls": node.calls,
    }


def _dialogues(recording: Recording, form: Format) -> Mapping[str, list[Row]]:
    """Return the rows of each node, without what they are about."""
    said: dict[str, list[Message]] = {}
    made: dict[str, list[Row]] = {}
    for event in recording.events:
        match event:
            case Prompted() if event.turn:  # 0 is the sorting of the question
                before = [] if event.compacted else said.get(event.node, [])
                said[event.node] = [*before, *map(_plain, event.messages)]
            case Replied() if event.turn and (event.text.strip() or event.thoughts):
                own = said.setdefault(event.node, [])
                reply = message("assistant", printable(event.text) or ONLY_THOUGHT)
                if form == "sft" and event.text.strip():
                    row = {"prompt": list(own), "completion": [reply], "turn": event.turn}
                    made.setdefault(event.node, []).append(row)
                own.append(reply)
            case NodeEnded() if form == "chat" and event.node in said:
                made[event.node] = [_conversation(said[event.node])]
            case _:
                pass  # nothing that was said
    if form == "chat":
        for node in said.keys() - made.keys():  # still running, or killed
            made[node] = [_conversation(said[node])]
    return made


def _conversation(messages: list[Message]) -> Row:
    """Return the messages up to the last reply: what came behind it was not answered."""
    while messages and messages[-1]["role"] != "assistant":
        messages = messages[:-1]
    return {"messages": messages}


def _plain(told: Message) -> Message:
    """Return a message with its text alone, as every loader takes it."""
    return message(str(told["role"]), printable(text_of(told)))
