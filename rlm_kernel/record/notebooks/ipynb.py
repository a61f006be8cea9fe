"""Notebooks as files, in nbformat's form and checked by its schema, without importing it.

``import nbformat`` takes 1.2 s where JupyterLab is installed: it builds every format checker that
jsonschema can find, a grammar of all URLs among them. Starting a run takes less than that.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from ...errors import RecordError

Notebook: TypeAlias = dict[str, Any]  # as nbformat 4 has it in memory: texts whole
_SPLIT_TOO = ("application/javascript", "image/svg+xml")


def dumps(notebook: Notebook) -> bytes:
    """Return the file of a notebook, byte for byte as nbformat writes it, with a last line break.

    A lone surrogate, which UTF-8 has not, becomes its JSON escape.
    """
    lines = {**notebook, "cells": [_split_cell(cell) for cell in notebook["cells"]]}
    text = json.dumps(lines, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": "))
    return (text + "\n").encode("utf-8", "backslashreplace")


def loads(data: bytes) -> Notebook:
    """Return the inverse of ``dumps``. Raises ``ValueError`` for what is not a notebook of format
    4."""
    try:
        plain = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1:,} of it is no UTF-8 text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(plain, dict) or plain.get("nbformat") != 4:
        raise ValueError("not a notebook of format 4")
    cells = plain.get("cells")
    if not isinstance(plain.get("metadata"), dict) or not isinstance(cells, list):
        raise ValueError("a notebook without metadata or cells")
    joined = [_joined_cell(cell) for cell in cells if isinstance(cell, dict)]
    if len(joined) < len(cells) or not all(map(_is_cell, joined)):
        raise ValueError("a cell of it is not what it should be")
    return {**plain, "cells": joined}


def _is_cell(cell: dict[str, Any]) -> bool:
    kind, metadata, outputs = cell.get("cell_type"), cell.get("metadata"), cell.get("outputs", [])
    return (
        isinstance(kind, str)
        and isinstance(cell["source"], str)
        and isinstance(metadata, dict)
        and isinstance(metadata.get("rlm", {}), dict)
        and _are_dicts(outputs)
    )


def _are_dicts(outputs: Any) -> bool:
    return isinstance(outputs, list) and all(isinstance(output, dict) for output in outputs)


def check(notebook: Notebook, path: Path) -> None:
    """Raise ``RecordError`` for a notebook that its format does not allow."""
    import fastjsonschema

    try:
        _validator(notebook["nbformat_minor"])(notebook)
    except fastjsonschema.JsonSchemaValueException as error:
        raise RecordError(f"{path}: not a valid notebook: {error}") from error
    ids = [cell["id"] for cell in notebook["cells"] if "id" in cell]
    if len(set(ids)) < len(ids):
        raise RecordError(f"{path}: not a valid notebook: two cells have the same id")


@cache
def _validator(minor: int) -> Callable[[Notebook], object]:
    import fastjsonschema

    spec = importlib.util.find_spec("nbformat")
    assert spec is not None
    assert spec.origin is not None
    schema = Path(spec.origin).parent / "v4" / f"nbformat.v4.{minor}.schema.json"
    check: Callable[[Notebook], object] = fastjsonschema.compile(json.loads(schema.read_text()))
    return check


def _split_cell(cell: dict[str, Any]) -> dict[str, Any]:
    made = {**cell, "source": cell["source"].splitlines(True)}
    if cell["cell_type"] == "code":
        made["outputs"] = [_mapped(output, _split) for output in cell["outputs"]]
    return made


def _joined_cell(cell: dict[str, Any]) -> dict[str, Any]:
    made = {**cell, "source": _whole(cell.get("source", ""))}
    if cell.get("cell_type") == "code":
        outputs = cell.get("outputs", [])
        made["outputs"] = [_mapped(o, _joined) for o in outputs] if _are_dicts(outputs) else None
    return made


def _mapped(output: dict[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return the output with ``change`` applied to its texts, each with its mime type."""
    kind, data = output.get("output_type"), output.get("data")
    if kind == "stream":
        return {**output, "text": change("text/plain", output.get("text"))}
    if kind in ("display_data", "execute_result") and isinstance(data, dict):
        return {**output, "data": {mime: change(mime, value) for mime, value in data.items()}}
    return output


def _split(mime: str, value: Any) -> Any:
    text = isinstance(value, str) and (mime.startswith("text/") or mime in _SPLIT_TOO)
    return value.splitlines(True) if text else value


def _joined(mime: str, value: Any) -> Any:
    is_json = mime == "application/json" or mime.endswith("+json")
    return value if is_json else _whole(value)


def _whole(value: Any) -> Any:
    lines = isinstance(value, list) and all(isinstance(line, str) for line in value)
    return "".join(value) if lines else value
