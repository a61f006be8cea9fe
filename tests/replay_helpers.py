"""Trajectories that are run again as notebooks: a small one and a deep one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nbformat
from asking import ask, block

from rlm_kernel import Limits, Result
from rlm_kernel.testing import ScriptedLM

TEXT = "".join(f"row {number}\n" for number in range(20))
CELLS = (
    "rows = context.splitlines()\nprint(len(rows), llm_query('again?'))",
    "said = llm_query_batched([f'is {row} good?' for row in rows[:3]])\n"
    "print(said, llm_query('again?'))",
    "1 / 0",
    "from IPython.display import HTML\nprint(llm_query('again?'))\nHTML('<b>bold</b>')",
    "FINAL_VAR(f'{len(rows)} rows, {said[0]}')",
)
ANSWER = "20 rows, <is row 0 good?>"
PLOT = (
    "import base64\nfrom IPython.display import Image, display\n"
    "dot = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk'\n"
    "dot += '+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='\n"
    "display(Image(base64.b64decode(dot)))"
)
DEEP = (
    *CELLS[:3],
    PLOT,
    "parts = rlm_query_batched(['child'] * 2, [rows[:3], rows[3:]])\n"
    "print(llm_query('again?'))\nparts",
    "FINAL_VAR(f'{len(rows)} rows, {len(parts)} parts')",
)


def _sub() -> Callable[[str], str]:
    """The same prompt gets another reply each time."""
    count = itertools.count()
    return lambda prompt: f"reply {next(count)}" if prompt == "again?" else f"<{prompt}>"


def small(out: Path, context: object = TEXT, cells: Iterable[str] = CELLS, **more: Any) -> Result:
    """A run without children: a batch, an error, a prompt asked three times."""
    return ask(ScriptedLM([block(cell) for cell in cells], _sub()), out, context, **more)


def deep(out: Path) -> Result:
    """A run of two levels of children."""
    turns = iter(DEEP)

    def turn(messages: list[dict[str, Any]]) -> str:
        task = messages[1]["content"]
        if "grandson" in task:
            return block("print(context)\nFINAL_VAR(llm_query(context))")
        if "child" in task:
            return block("print(context)\nFINAL_VAR(rlm_query('grandson', str(len(context))))")
        return block(next(turns))

    return ask(ScriptedLM(turn, _sub()), out, TEXT, limits=Limits(depth=2))


def sources(notebook: Path) -> list[str]:
    """The code cells of a notebook."""
    cells = nbformat.read(notebook, 4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def begin(notebook: Path) -> int:
    """Which code cell begins the replay."""
    return next(i for i, s in enumerate(sources(notebook)) if s.startswith("%rlm replay"))


def edit(notebook: Path, change: Callable[[Any], None]) -> None:
    """Change a notebook's file as a program does that knows JSON only."""
    made = json.loads(notebook.read_text())
    change(made)
    notebook.write_text(json.dumps(made, indent=1))


def of_first_version(notebook: Path) -> None:
    """As notebooks were whose replay cell named nothing."""

    def change(made: Any) -> None:
        made["cells"] = [
            cell for cell in made["cells"] if "parameters" not in cell["metadata"].get("tags", [])
        ]
        for cell in made["cells"]:
            if "".join(cell["source"]).startswith("%rlm replay"):
                cell["source"] = ["%rlm replay"]

    edit(notebook, change)
