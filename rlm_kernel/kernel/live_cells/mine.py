"""A question's cells as a notebook of the human's own, which Python runs without us.

The question becomes Markdown, ``context`` is read by a line of code, and of our other names those
are there that need no LM. The LM's cells stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import events
from ...errors import UsageError
from ...events import (
    CellRan,
    ContextInfo,
    Event,
    KernelRestarted,
    NodeStarted,
    Replied,
    RunEnded,
    RunStarted,
)
from ...record.notebooks.cells import as_kept
from ...record.notebooks.prose import without_blocks
from ...record.provenance.names import statements
from ...remote.guest.globals import NAMES
from ..display.prose import words
from .run_cells import code

TEXT_CHARS = 2_000
"""The most of a context's own text that is written into the code."""
_STAND_INS = {
    "FINAL_VAR": (
        "def FINAL_VAR(answer):\n"
        '    """Show an answer; a text that names a variable stands for its value."""\n'
        "    return globals().get(answer, answer) if isinstance(answer, str) else answer"
    ),
    "SHOW_VARS": (
        "def SHOW_VARS():\n"
        '    return sorted(name for name in globals() if not name.startswith("_"))'
    ),
    "answer": 'answer = {"content": "", "ready": False}',
}
_PYTHON = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_RLM = {"display_name": "RLM", "language": "python", "name": "rlm"}


@dataclass
class LastQuestion:
    """A reader of events: the question that was asked last, and its cells."""

    run: str = ""
    question: str = ""
    context: ContextInfo | None = None
    answer: str | None = None
    replies: dict[int, str] = field(default_factory=dict)
    cells: list[CellRan] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.run, self.question = event.run, event.question
                self.context, self.answer, self.replies, self.cells = None, None, {}, []
            case NodeStarted(node=events.ROOT):
                self.context = event.context
            case Replied(node=events.ROOT) if event.turn:
                self.replies[event.turn] = event.text
            case CellRan(node=events.ROOT) if event.turn:
                self.cells.append(event)
            case KernelRestarted(node=events.ROOT, back_to=int(back_to)):
                self.cells = [cell for cell in self.cells if cell.cell <= back_to]
            case RunEnded():
                self.answer = event.answer
            case _:
                pass  # the display shows the rest

    def turn(self, number: int) -> str:
        """Return the code of a turn. Raises ``UsageError`` where it has none."""
        sources = [cell.source for cell in self.cells if cell.turn == number]
        if sources:
            return "\n\n".join(sources)
        raise UsageError(
            f"turn {number:,} of the last question has no cells; those that have: {self.turns}"
        )

    @property
    def turns(self) -> str:
        """Return the numbers of the turns that have cells, in words."""
        turns = sorted({cell.turn for cell in self.cells})
        return ", ".join(map(str, turns)) or "none: ask a question first"

    def mine(self, cwd: Path) -> dict[str, Any]:
        """Return what takes the place of the question: as Markdown, as code, and the names that the
        cells ``need`` and that only this kernel has."""
        read = _reads(self.cells)
        needs = sorted((read & NAMES) - set(_STAND_INS) - {"context"})
        parts = [_loading(self.context, cwd)] if "context" in read else []
        parts += [text for name, text in _STAND_INS.items() if name in read]
        note = f"# The cells below need the kernel RLM, for {', '.join(needs)}." if needs else ""
        made = "\n".join(filter(None, [note, "\n\n\n".join(parts)]))
        return {"markdown": self._told(), "code": made, "needs": needs}

    def notebook(self, cwd: Path) -> dict[str, Any]:
        """Return all of it as a notebook. Raises ``UsageError`` where no question was asked."""
        if not self.cells:
            raise UsageError("no question of this kernel has cells yet: ask one with %%rlm")
        mine = self.mine(cwd)
        made = [_markdown(mine["markdown"])] + ([_code(mine["code"])] if mine["code"] else [])
        for turn, reply in self.replies.items():
            ran = [cell for cell in self.cells if cell.turn == turn]
            if said := words(without_blocks(reply, [cell.source for cell in ran])):
                made.append(_markdown(said))
            made += [_code(code(cell.source), cell) for cell in ran]
        cells = [{"id": f"cell-{number}", **cell} for number, cell in enumerate(made, 1)]
        spec = _RLM if mine["needs"] else _PYTHON
        metadata = {"kernelspec": spec, "language_info": {"name": "python"}}
        return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}

    def _told(self) -> str:
        asked = words(self.question.strip())
        head = f"### {asked}" if "\n" not in asked and len(asked) < 120 else asked
        return head if self.answer is None else f"{head}\n\n{words(self.answer.strip())}"


def _reads(cells: Sequence[CellRan]) -> set[str]:
    found: set[str] = set()
    for cell in cells:
        for statement in statements(cell.source):
            found |= statement.reads | statement.changes
    return found


def _loading(context: ContextInfo | None, cwd: Path) -> str:
    """Return the code that reads the context as it was."""
    spec = {} if context is None else context.spec
    if spec.get("variable") not in (None, "context"):
        return f"context = {spec['variable']}"
    text = spec.get("text")
    given = spec.get("path") is None and spec.get("kind") == "text"
    if given and isinstance(text, str) and len(text) <= TEXT_CHARS:
        return f"context = {text!r}"
    if spec.get("path") is not None and (line := _reading(spec, context, cwd)) is not None:
        return line
    size = "" if context is None or context.length is None else f" of length {context.length:,}"
    kind = "what the question was about" if context is None else f"a {context.type}{size}"
    return f"context = ...  # {kind}: put it here"


def _reading(spec: dict[str, Any], context: ContextInfo | None, cwd: Path) -> str | None:
    path = Path(spec["path"])
    name = str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
    encoding = spec.get("encoding", "utf-8")
    opened = f"open({name!r}, encoding={encoding!r}, newline='')"
    match spec.get("kind"):
        case "text":
            return f"context = {opened}.read()"
        case "bytes":
            return f"context = open({name!r}, 'rb').read()"
        case "json":
            return f"import json\n\ncontext = json.load({opened})"
        case "jsonl":
            return (
                f"import json\n\ncontext = [json.loads(line) for line in {opened} if line.strip()]"
            )
        case "csv" if context is not None and context.type == "DataFrame":
            tabs = ", sep='\\t'" if path.suffix == ".tsv" else ""
            read = f"pandas.read_csv({name!r}, encoding={encoding!r}{tabs})"
            return f"import pandas\n\ncontext = {read}"
        case "csv":
            return f"import csv\n\ncontext = list(csv.DictReader({opened}))"
        case "folder":
            return (
                "from pathlib import Path\n\n"
                f"folder = Path({name!r})\n"
                "context = {\n"
                "    path.relative_to(folder).as_posix(): path.read_text(errors='replace')\n"
                "    for path in sorted(folder.rglob('*'))\n"
                "    if path.is_file()\n"
                "}"
            )
    return None


def _markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _code(source: str, ran: CellRan | None = None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": {},
        "source": source,
        "outputs": [] if ran is None else [as_kept(output) for output in ran.outputs],
        "execution_count": None if ran is None else ran.execution_count,
    }
