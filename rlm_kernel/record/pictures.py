"""Pictures among outputs: what they show, in words for those who cannot see them."""

from __future__ import annotations

import html
import re
from typing import Any

from .markdown import one_line, printable

MIMES = ("image/png", "image/jpeg", "image/gif")
ALT_CHARS = 120
_TITLE = re.compile(r"title\(\s*[rfuRFU]{0,2}(['\"])(.{1,200}?)\1")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]+")
_NO_WORK = re.compile(r"\s*(?:$|#|import\b|from\b|%|!)")


def mime_of(data: dict[str, Any]) -> str | None:
    """Return the type of the picture in a MIME bundle; None where there is none."""
    return next((mime for mime in MIMES if isinstance(data.get(mime), str)), None)


def alt(source: str) -> str:
    """Return what a picture that this code made shows: the title that the code gives it, or else
    the code's first line."""
    titles = [one_line(found[2]) for found in _TITLE.finditer(source)]
    if titles:
        return f"Figure: {titles[-1]}"[:ALT_CHARS]
    lines = [line for line in source.splitlines() if not _NO_WORK.match(line)]
    return f"Figure made by {one_line(lines[0])}"[:ALT_CHARS] if lines else "Figure"


def img(data: dict[str, Any], metadata: dict[str, Any], words: str) -> str:
    """Return the picture of a bundle as one line of HTML; empty where there is none."""
    mime = mime_of(data) or ""
    code = "".join(str(data.get(mime, "")).split())
    if not _BASE64.fullmatch(code):  # its maker may be trusted, and have skipped the filter
        return ""
    given = metadata.get(mime)
    shown: dict[str, Any] = given if isinstance(given, dict) else {}
    sizes = "".join(
        f' {name}="{shown[name]:g}"'
        for name in ("width", "height")
        if isinstance(shown.get(name), int | float)
    )
    written = html.escape(printable(words)).replace("$", "&#36;")
    return f'<img alt="{written}"{sizes} src="data:{mime};base64,{code}">'
