"""The one node that a notebook has, as replay needs it: for one that was sent alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ...answers import Answer, Evidence
from ...errors import RecordError
from .. import blobs
from ..equality import digest, digest_as_kept, sha256
from ..forms import known_part
from ..nodes import RecordedCall, RecordedCell, RecordedContext, RecordedNode, slot
from ..packing import unpack
from .pages import About, Page


def unpacked(page: Page) -> About:
    """Return ``metadata.rlm`` with its long texts. Raises ``RecordError`` where one is missing."""

    def fetch(name: Any, chars: Any) -> str:
        try:
            return blobs.text(page.folder / "blobs", name, chars)
        except (OSError, ValueError) as error:
            raise RecordError(
                f"{page.path}: it refers to blobs/{name}, which is not beside it: send the run's "
                "folder instead of the notebook alone"
            ) from error

    about: About = unpack(page.about, fetch)
    return about


def node_of(page: Page, about: About) -> RecordedNode:
    """Return the node of a notebook, ``about`` as ``unpacked`` gives it; its children's answers
    are among its calls. Raises ``RecordError`` for cells that are not what they should be."""
    context = about["context"] and RecordedContext(about["context"]["spec"])
    node = RecordedNode(about["node"], about["parent"], context)
    taken = about["confirmed"] or about["status"] == "answered"
    node.answer = answer_in(about) if taken else None
    try:
        _happen(node, page, about)
    except (KeyError, TypeError, AttributeError) as error:  # of the cells' outputs
        raise RecordError(f"{page.path}: the notebook is damaged: {error!r}") from error
    node.calls = [_call_of(row) for row in about["calls"]]
    node.leave_out_undone()
    return node


def changes(node: RecordedNode, about: About) -> tuple[list[str], list[str]]:
    """Say what was changed in the cells after they were written: problems, and notes, which take
    nothing from a replay."""
    there = {cell.cell: cell for cell in node.cells}
    problems, notes = [], []
    for row in about["cells"]:
        cell = there.get(row["cell"])
        if cell is None:
            problems.append(f"cell {row['cell']} is not in the notebook any more")
        elif row["source"] != sha256(cell.source):
            problems.append(f"cell {cell.cell} was changed: its source is not the one that ran")
        elif cell.shown is not None:
            notes.append(f"cell {cell.cell}: its outputs are not those of the record")
        elif cell.outputs is None:
            notes.append(f"cell {cell.cell}: its outputs were taken out of the notebook")
    return problems, notes


def _happen(node: RecordedNode, page: Page, about: About) -> None:
    contexts = about.get("contexts", [])

    def set_before(cell: int | None) -> list[RecordedContext]:
        return [RecordedContext(c["context"]["spec"]) for c in contexts if c["before"] == cell]

    for cell in _cells_of(page, about):
        node.happened += [*set_before(cell.cell), cell]
        for row in about["restarts"]:
            if row["cell"] == cell.cell:
                node.restarted(cell.cell, row.get("back_to"))
    node.happened += set_before(None)


def _cells_of(page: Page, about: About) -> Iterator[RecordedCell]:
    rows = {row["cell"]: row for row in about["cells"]}
    for cell in page.notebook["cells"]:
        number = cell["metadata"].get("rlm", {}).get("cell")
        if cell["cell_type"] == "code" and number in rows:
            yield _cell_of(cell["source"], cell["outputs"], rows[number], page.rules)


def _cell_of(source: str, outputs: list[Any], row: dict[str, Any], rules: int) -> RecordedCell:
    concurrent = bool(row.get("concurrent"))
    own = row["outputs"] == digest(outputs, version=rules, concurrent=concurrent)
    shown = None if own or not outputs else digest_as_kept(outputs, concurrent=concurrent)
    return RecordedCell(
        cell=row["cell"],
        turn=row["turn"],
        source=source,
        author=row["author"],
        status=row["status"],
        answer=answer_in(row),
        digest=row["outputs"],
        outputs=list(outputs) if own else None,
        inputs=row.get("inputs", []),
        concurrent=concurrent,
        version=rules,
        shown=shown,
        seconds=row.get("seconds", 0.0),
        wanted=None if row.get("wanted") is None else json.loads(row["wanted"]),
    )


def answer_in(row: dict[str, Any]) -> Answer | None:
    """Return the answer of a node or a cell; before 2.2 each is a text."""
    if row["answer"] is None:
        return None
    if row.get("type") is None:
        return Answer.of_text(row["answer"])
    evidence = tuple(known_part(Evidence, one) for one in row.get("evidence", []))
    return Answer(row["answer"], row["type"], row["value"], row["file"], evidence)


def _call_of(row: dict[str, Any]) -> RecordedCall:
    return RecordedCall(
        cell=row["cell"],
        key=row["key"],
        occurrence=row["occurrence"],
        index=row["index"],
        count=row["count"],
        op=row["op"],
        slot=slot(row.get("reply"), row.get("error"), row.get("about")),
        child=row["child"],
        span=None,
    )
