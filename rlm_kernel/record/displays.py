"""A display as text, for one who reads no HTML and sees no picture."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import nh3

_REPR = re.compile(r"<[\w.]+(?: object)?(?: at 0x[0-9a-f]+)?>")
"""The text of an object that says nothing but its class."""
_CELL_END = re.compile(r"</t[dh]>\s*(?=<t[dh])", re.IGNORECASE)
_LINE_END = re.compile(
    r"</?(?:br|p|div|tr|li|h[1-6]|table|pre|ul|ol|title)\b[^<>]*>", re.IGNORECASE
)
_BLANK = re.compile(r"\n\s*\n")


def display_text(data: dict[str, Any]) -> str | None:
    """Return the text of a display's data by MIME type: the plain one, unless another type says
    what it stands for; None where no type has text."""
    plain = None if data.get("text/plain") is None else str(data["text/plain"])
    if plain is not None and not _REPR.fullmatch(plain):
        return plain
    for mime in ("text/markdown", "text/latex"):
        if mime in data:
            return str(data[mime])
    if "application/json" in data:
        return json.dumps(data["application/json"], ensure_ascii=False)
    return _of_html(str(data.get("text/html", ""))) or plain


def _of_html(markup: str) -> str:
    """Return the text between the tags, a table's cells parted by bars."""
    lines = _LINE_END.sub("\n", _CELL_END.sub(" | ", markup))
    return _BLANK.sub("\n", html.unescape(nh3.clean(lines, tags=set()))).strip()
