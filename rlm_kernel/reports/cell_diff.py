"""The cells of two nodes compared by nbdime, as text for a terminal or as its own JSON."""

from __future__ import annotations

import importlib
import io
import json
from difflib import SequenceMatcher
from types import SimpleNamespace
from typing import Any

from ..errors import UsageError
from ..events import Output
from ..record.equality import sha256
from ..record.nodes import RecordedCell
from ..record.outputs import ANSI
from .compare import equal_beginning

# nbdime compares texts in the square of their length: 2.6 s for one pair of 4000 characters.
MAX_CELLS = 30  # of each node, from the first that differs
MAX_OUTPUTS = 8  # of a cell, and forms of an output
MAX_CHARS = 2000  # of a source or an output
_TEXTS = ("text/", "application/json")
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), 0x2028, 0x2029), 0xFFFD),
}
"""What a terminal would obey, and line breaks that only Python sees, to signs for them."""
_SHOWN = SimpleNamespace(
    sources=True, outputs=True, attachments=False, metadata=False, id=False, details=False
)


class CellDiff:
    """The differences that nbdime finds between the cells that ran in two nodes.

    Code and outputs only: no counts, times or ids. Outputs that a replay would call equal are
    equal. ``left_out`` counts the cells of both behind the ``MAX_CELLS`` that were compared. Raises
    ``UsageError`` where nbdime is not installed.
    """

    def __init__(self, ours: list[RecordedCell], theirs: list[RecordedCell]) -> None:
        self._nbdime = _nbdime()
        same = equal_beginning(ours, theirs)
        end = same + MAX_CELLS
        self.left_out = max(0, len(ours) - end) + max(0, len(theirs) - end)
        ours, theirs = ours[same:end], theirs[same:end]
        ids, other_ids = _ids(ours, theirs)
        known: dict[str, list[Output]] = {}
        self._ours = self._notebook(same, ours, ids, known)
        self._diff = self._nbdime.diff(self._ours, self._notebook(same, theirs, other_ids, known))

    def text(self, *, color: bool) -> str:
        """Return the difference; empty where there is none. A cell stands there as ``/cells/`` and
        its place, from 1."""
        out = io.StringIO()
        config = self._nbdime.config(
            out=out, include=_SHOWN, use_git=False, use_diff=False, use_color=color
        )
        self._nbdime.pretty(self._ours, self._diff, "", config)
        return out.getvalue()

    def data(self) -> Any:
        """Return nbdime's diff as plain JSON data."""
        return json.loads(json.dumps(self._diff))

    def _notebook(
        self, same: int, cells: list[RecordedCell], ids: list[str], known: dict[str, list[Output]]
    ) -> Any:
        """Return a notebook in which an empty cell stands for each one before, and for a cell 0, so
        that nbdime numbers the cells as a person does."""
        before = [_cell(f"same-{number}", "", []) for number in range(same + 1)]
        shown = [
            _cell(
                name,
                _tame(cell.source),
                known.setdefault(cell.shown or cell.digest, _outputs(cell)),
            )
            for name, cell in zip(ids, cells, strict=True)
        ]
        return self._nbdime.notebook(
            {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [*before, *shown]}
        )


def _ids(ours: list[RecordedCell], theirs: list[RecordedCell]) -> tuple[list[str], list[str]]:
    """Return ids, which nbdime goes by: equal ones for equal cells, and for those in each other's
    place between them. It would compare every cell with every other one."""
    a, b = (
        [(cell.source, cell.shown or cell.digest) for cell in cells] for cells in (ours, theirs)
    )
    ids, other_ids = ([f"{side}-{at}" for at in range(len(c))] for side, c in (("a", a), ("b", b)))
    for _, i, i_end, j, j_end in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        paired = min(i_end - i, j_end - j)
        other_ids[j : j + paired] = ids[i : i + paired]
    return ids, other_ids


def _nbdime() -> Any:
    """Return the parts of nbdime that are used. Its import takes seconds, so it is late."""
    try:
        return SimpleNamespace(
            diff=importlib.import_module("nbdime.diffing.notebooks").diff_notebooks,
            pretty=importlib.import_module("nbdime.prettyprint").pretty_print_diff,
            config=importlib.import_module("nbdime.prettyprint").PrettyPrintConfig,
            notebook=importlib.import_module("nbformat").from_dict,
        )
    except ModuleNotFoundError as error:
        raise UsageError(
            'the difference of cells needs nbdime: pip install "rlm_kernel[diff]"; '
            "without --cells it is not needed"
        ) from error


def _cell(name: str, source: str, outputs: list[Output]) -> dict[str, Any]:
    return {
        "id": name,
        "cell_type": "code",
        "metadata": {},
        "source": source,
        "outputs": outputs,
        "execution_count": None,
    }


def _outputs(cell: RecordedCell) -> list[Output]:
    outputs = cell.outputs or []
    shown = [_output(output) for output in outputs[:MAX_OUTPUTS]]
    if len(outputs) > MAX_OUTPUTS:
        rest = f"[{len(outputs) - MAX_OUTPUTS:,} more outputs, digest of all {cell.digest}]"
        shown.append({"output_type": "stream", "name": "stdout", "text": rest})
    return shown


def _output(output: Output) -> Output:
    if output["output_type"] == "stream":
        return {**output, "text": _tame(output["text"])}
    if output["output_type"] == "error":
        lines = _tame("\n".join(output["traceback"])).split("\n")
        named = {name: _tame(output[name]) for name in ("ename", "evalue")}
        return {"output_type": "error", **named, "traceback": lines}
    first = list(output["data"].items())[:MAX_OUTPUTS]
    data = {_tame(mime): _data(mime, value) for mime, value in first}
    made = {"output_type": output["output_type"], "metadata": {}, "data": data}
    return made | ({"execution_count": None} if made["output_type"] == "execute_result" else {})


def _data(mime: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if mime.startswith(_TEXTS):
        return _tame(text)
    return f"[{len(text):,} characters, sha256 {sha256(text)}]"


def _tame(text: str) -> str:
    """Return a line without colours, with signs for controls; of a long text its ends, size and
    SHA-256."""
    plain = ANSI.sub("", text)
    if len(plain) > MAX_CHARS:
        note = f"\n[… {len(plain):,} characters in all, sha256 {sha256(plain)} …]\n"
        plain = plain[: MAX_CHARS * 3 // 4] + note + plain[-MAX_CHARS // 4 :]
    return plain.translate(_CONTROLS)
