"""A finished turn, and an answer, as a notebook's output shows them: MIME bundles.

Whatever an LM, a context or a cell wrote goes through ``record.markdown``, so that it can end
neither its fence nor the block it stands in. ``text/plain`` is for terminals.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote as percent

from ...answers import Evidence
from ...events import (
    CallEnded,
    CellDecided,
    CellRan,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    Output,
    Replied,
)
from ...record import checks as record_checks
from ...record import headings, pictures, restarts
from ...record.evidence import lines, markdown, summed
from ...record.filters import for_terminal
from ...record.markdown import (
    code,
    details,
    directed,
    fenced,
    isolated,
    literal,
    one_line,
    printable,
    quote,
    shorten,
)
from ...record.notebooks.metadata import page
from ...record.notebooks.prose import thoughts, without_blocks
from ...record.notebooks.subcalls import MAX_ROWS, sub_calls
from ...record.numbers import counted, duration
from ...record.outputs import cut, text_of
from ...record.summary import place
from ...remote.guest.maps.checked import Checked
from .prose import amounts, inside, words

Bundle: TypeAlias = dict[str, Any]  # MIME type to data
Link: TypeAlias = Callable[[Path], str]
"""From a notebook's path in the run's folder to its path as seen from the human's notebook."""

OUTPUT_CHARS = 4_000
PROSE_CHARS = 20_000
SOURCE_CHARS = 100_000
MAX_RICH = 8
MAX_PICTURE = 1_000_000
"""Characters of a picture that is shown in its turn."""
MAX_CHILDREN = 8
PICTURES = {"png": "image/png", "jpg": "image/jpeg"}
_KEPT_CHARS = 2_000
_RICH = ("text/html", "text/latex", "text/markdown", "application/json")
PRINTED = "<style>@media print{details::details-content{content-visibility:visible}}</style>"
"""Opens folds in print: a closed one would not be on paper."""


@dataclass
class Child:
    """A node that the turn started. ``ended`` is None while it runs, or where it was left."""

    started: NodeStarted
    ended: NodeEnded | None = None


@dataclass
class Turn:
    """A turn as it is kept until it is shown: long prompts and replies only in part. ``status``
    says how it ended, once it has."""

    replied: Replied
    status: str = ""
    cells: list[CellRan] = field(default_factory=list)
    decided: list[CellDecided] = field(default_factory=list)
    calls: dict[int, list[CallEnded]] = field(default_factory=dict)
    restarts: dict[int, KernelRestarted] = field(default_factory=dict)
    children: dict[str, Child] = field(default_factory=dict)

    def add_call(self, event: CallEnded) -> None:
        made = self.calls.setdefault(event.cell, [])
        keep = _KEPT_CHARS if len(made) < MAX_ROWS else 0
        reply = None if event.reply is None else str(event.reply)[:keep]
        made.append(dataclasses.replace(event, prompt=event.prompt[:keep], reply=reply))

    @property
    def call_count(self) -> int:
        return sum(call.op != "tool" for made in self.calls.values() for call in made)

    @property
    def seconds(self) -> float:
        return self.replied.seconds + sum(cell.seconds for cell in self.cells)

    @property
    def prose(self) -> str:
        return without_blocks(self.replied.text, [cell.source for cell in self.cells])


def turn_bundle(turn: Turn, link: Link) -> Bundle:
    """Show the turn as one block that opens on a click."""
    title = headings.title(turn.prose, [cell.source for cell in turn.cells])
    status = turn.status if turn.status == "ok" else f"<b>{turn.status}</b>"
    facts = [
        f"Turn {turn.replied.turn}",
        headings.numbered([cell.cell for cell in turn.cells]),
        isolated(amounts(html.escape(title, quote=False))),
        headings.calls(turn.call_count),
        duration(turn.seconds),
        status,
    ]
    body = [_said(turn.prose), thoughts(turn.replied.thoughts), *_children(turn, link)]
    for cell in turn.cells:
        body += _cell(turn, cell)
    markdown = "\n\n".join(filter(None, body))
    summary = " · ".join(filter(None, facts))
    # Not ``markdown.details``: a title may hold dollar signs, and those must not make a formula.
    block = f"<details><summary>{summary}</summary>\n\n{markdown}\n\n</details>"
    return {"text/plain": _plain(turn), "text/markdown": block}


def turns_bundle(blocks: Sequence[str], count: int) -> Bundle:
    """Show the blocks of the first of so many turns in one that opens on a click."""
    more = count - len(blocks)
    rest = [f"*and {counted(more, 'more turn')}, in the trajectory*"] if more else []
    name = f"{counted(count, 'turn')}: code, outputs and sub-calls"
    folded = details(name, "\n\n".join([*blocks, *rest]))
    markdown = f"{PRINTED}\n\n{folded}"
    return {"text/plain": "", "text/markdown": markdown}  # a terminal has shown each in its time


def rich_bundles(turn: Turn) -> list[tuple[Bundle, dict[str, Any]]]:
    """Return the displays of a turn that are more than text, the first few of them, and how each is
    to be shown; a picture with what it shows in words."""
    made = [(output, cell.source) for cell in turn.cells for output in cell.outputs]
    shown = [(output, source) for output, source in made if _is_rich(output)][:MAX_RICH]
    return [(_worded(output, source), output.get("metadata") or {}) for output, source in shown]


def answer_bundle(text: str, file: str = "", table: str | None = None) -> Bundle:
    """Show an answer as it is, and as Markdown that can do nothing; data in a fence. ``file`` is
    the path of what belongs to it, ``table`` what is a table, as Markdown."""
    text = f"{text}\n({file})" if file else text
    shown = printable(text)
    prose = fenced(shown, "json") if _is_data(shown) else words(shown).replace("\n", "  \n")
    markdown = directed(prose) if table is None else table
    return {"text/plain": for_terminal(text), "text/markdown": markdown}


def evidence_bundle(evidence: Sequence[Evidence]) -> Bundle:
    """Show the quotes that an answer rests on, and which of them stand in the input."""
    text = "\n".join([summed(evidence), *lines(evidence)])
    return {"text/plain": for_terminal(text), "text/markdown": markdown(evidence)}


def checks_bundle(checks: Sequence[Checked]) -> Bundle:
    """Show the figures of the checks of maps that an answer can rest on."""
    text = "\n".join(record_checks.lines(checks))
    return {"text/plain": for_terminal(text), "text/markdown": record_checks.markdown(checks)}


def picture_bundle(suffix: str, data: bytes) -> Bundle:
    """Show a picture that belongs to an answer; nothing for a file that is none."""
    mime = PICTURES.get(suffix.lstrip("."))
    return {} if mime is None else {mime: base64.b64encode(data).decode("ascii")}


def page_link(text: str, path: str, link: Link) -> str:
    """Return a Markdown link to a notebook of the run, or its path where no link can lead there."""
    target = link(Path(path))
    # An absolute path in a link is taken as one from the server's root.
    return code(target) if target.startswith("/") else f"[{literal(text)}]({percent(target)})"


def child_link(node: str, link: Link) -> str:
    return page_link(f"child {node}", page(node, root=False), link)


def _is_rich(output: Output) -> bool:
    data = output.get("data") or {}
    return any(mime in _RICH or mime.startswith("image/") for mime in data)


def _worded(output: Output, source: str) -> Bundle:
    """Return an output's data; no front end has words for a picture unless it is HTML."""
    data, metadata = output["data"], output.get("metadata") or {}
    if pictures.mime_of(data) is None or "text/html" in data:
        return dict(data)
    return {**data, "text/html": pictures.img(data, metadata, pictures.alt(source))}


def _is_data(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _said(prose: str) -> str:
    """Put prose in a quote: it ends whatever was left open in it, a fence for one."""
    return inside(words(cut(prose, PROSE_CHARS))) if prose else ""


def _children(turn: Turn, link: Link) -> list[str]:
    lines = []
    for node in sorted(turn.children, key=place)[:MAX_CHILDREN]:
        child = turn.children[node]
        linked = child_link(node, link)
        status = child.ended.status if child.ended else "not ended"
        lines.append(f"- {linked} · {literal(_question(child))} · {status}")
    more = len(turn.children) - len(lines)
    if more:
        noun = "child" if more == 1 else "children"
        lines.append(f"- and {more:,} more {noun}, in the trajectory")
    return ["\n".join(lines)] if lines else []


def _question(child: Child) -> str:
    return shorten(one_line(child.started.question[:_KEPT_CHARS]), 160)


def _cell(turn: Turn, cell: CellRan) -> list[str]:
    parts = [fenced(cut(cell.source, SOURCE_CHARS), "python")]
    if len(turn.cells) > 1:
        parts.insert(0, f"*cell {cell.cell} · {cell.status} · {duration(cell.seconds)}*")
    shown = [output for output in cell.outputs if _is_shown(output)][:MAX_RICH]
    if output := _text(cell, shown):
        parts.append(inside(fenced(output, "")))
    words = pictures.alt(cell.source)
    parts += [pictures.img(out["data"], out.get("metadata") or {}, words) for out in shown]
    if calls := turn.calls.get(cell.cell):
        # The children are linked above.
        parts.append(sub_calls(calls, lambda node: literal(f"child {node}")))
    if notices := _notices(turn, cell):
        parts.append(quote("\n".join(notices)))
    return parts


def _is_shown(output: Output) -> bool:
    """Return whether an output is shown in its turn as the picture that it is."""
    data = output.get("data") or {}
    mime = pictures.mime_of(data)
    return mime is not None and len(data[mime]) <= MAX_PICTURE


def _notices(turn: Turn, cell: CellRan) -> list[str]:
    restart = turn.restarts.get(cell.cell)
    again = [restarts.sentence(restart)] if restart else []
    return [shorten(notice, 800) for notice in [*cell.notices, *again]]


def _text(cell: CellRan, shown: list[Output]) -> str:
    """Return the outputs as text; of a picture that is shown only its type."""
    outputs = [_below(output) if output in shown else output for output in cell.outputs]
    return text_of(outputs, OUTPUT_CHARS).strip("\n")


def _below(output: Output) -> Output:
    mime = pictures.mime_of(output["data"])
    return {"output_type": "display_data", "data": {"text/plain": f"[shown below: {mime}]"}}


def _plain(turn: Turn) -> str:
    """Return the turn as a terminal shows it."""
    facts = [
        headings.numbered([cell.cell for cell in turn.cells]),
        headings.calls(turn.call_count),
        duration(turn.seconds),
        "" if turn.status == "ok" else turn.status,
    ]
    parts = [f"[turn {turn.replied.turn}] " + " · ".join(filter(None, facts))]
    if turn.prose:
        parts.append(cut(turn.prose, OUTPUT_CHARS))
    for cell in turn.cells:
        parts.append("\n".join(f"  {line}" for line in cell.source[:SOURCE_CHARS].split("\n")))
        parts += filter(None, [_text(cell, [])])
        parts += [f"note: {notice}" for notice in _notices(turn, cell)]
    return for_terminal("\n".join(parts))
