"""The one place that touches nbformat, which has no types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat

from ..errors import RecordError


def notebook(plain: dict[str, Any]) -> nbformat.NotebookNode:
    """Plain JSON data of a notebook, as nbformat's own kind of dict."""
    node: nbformat.NotebookNode = nbformat.from_dict(plain)  # type: ignore[no-untyped-call]
    return node


def dumps(node: nbformat.NotebookNode) -> bytes:
    """The file of a notebook. A lone surrogate, which UTF-8 has not, becomes its JSON escape."""
    text: str = nbformat.writes(node)  # type: ignore[no-untyped-call]
    return (text.rstrip("\n") + "\n").encode("utf-8", "backslashreplace")


def loads(data: bytes) -> nbformat.NotebookNode:
    """The inverse of ``dumps``. Raises ``ValueError`` for what is not a notebook of format 4."""
    text = data.decode("utf-8")
    plain = json.loads(text)  # nbformat's reader fails in its own ways on other JSON
    if not isinstance(plain, dict) or plain.get("nbformat") != 4:
        raise ValueError("not a notebook of format 4")
    if not isinstance(plain.get("metadata"), dict) or not isinstance(plain.get("cells"), list):
        raise ValueError("a notebook without metadata or cells")
    node: nbformat.NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    return node


def check(node: nbformat.NotebookNode, path: Path) -> None:
    """Raises ``RecordError`` for a notebook that its format does not allow."""
    try:
        nbformat.validate(node)
    except nbformat.ValidationError as error:
        raise RecordError(f"{path}: not a valid notebook: {error}") from error
