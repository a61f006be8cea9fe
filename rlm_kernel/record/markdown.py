"""Text made safe for a Markdown cell, whoever wrote it.

JupyterLab sanitises Markdown, other viewers and ``nbconvert`` do not. A context or a reply must
not be able to end its fence, its table or its quote, nor to become HTML.
"""

from __future__ import annotations

import html
import re
import unicodedata

from . import filters

# Nothing in here can begin any structure of Markdown, HTML or TeX.
_PLAIN = frozenset(" ,.;'\"?/%-")
_LIST_MARK = re.compile(r"^(\d+(?=\.(?: |$))|(?=-))([-.])")
_LONE = re.compile(r"[\ud800-\udfff]")
_TURNS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # the order of reading
_FROM_THE_RIGHT = ("R", "AL")


def printable(text: str) -> str:
    """Return the text with U+FFFD for each lone surrogate, which no viewer and no exporter can
    write."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


def inert(text: str) -> str:
    """Return Markdown whose HTML stays text, whose images stay links and whose links lead to the
    web only.

    See ``filters.markdown``. An image would be fetched as soon as the notebook is opened.
    """
    return filters.markdown(printable(text))


def literal(text: str) -> str:
    """Return one line of running text that shows ``text`` and has no structure of its own."""
    shown = "".join(map(_entity, one_line(text)))
    return _LIST_MARK.sub(lambda mark: f"{mark[1]}&#{ord(mark[2])};", shown)


def code(text: str) -> str:
    """Return the same in code type, where viewers set no formulas between two dollar signs."""
    return f"<code>{literal(text)}</code>" if text else ""


def _entity(char: str) -> str:
    if char == "$":  # between two of them viewers set a formula, but not inside code
        return "<code>&#36;</code>"
    if char.isalnum() or char in _PLAIN or ord(char) > 127:
        return char
    return f"&#{ord(char)};"


def one_line(text: str) -> str:
    """Make one space of each run of white space and control characters."""
    shown = printable(text)
    clean = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in shown)
    return " ".join(clean.split())


def runs_left(text: str) -> bool:
    """Return whether something in the text is read from the right to the left."""
    if text.isascii():
        return False
    return any(unicodedata.bidirectional(char) in _FROM_THE_RIGHT for char in text)


def isolated(text: str) -> str:
    """Return running text that leaves the order of what stands beside it alone, whichever way it
    runs."""
    plain = _TURNS.sub("", text)
    return f"\u2068{plain}\u2069" if runs_left(plain) else plain


def directed(markdown: str) -> str:
    """Return Markdown whose paragraphs begin at the side at which their script begins."""
    return f'<div dir="auto">\n\n{markdown}\n\n</div>' if runs_left(markdown) else markdown


def shorten(text: str, size: int) -> str:
    """Return at most ``size`` characters; what was cut from the middle is counted."""
    if len(text) <= size:
        return text
    note = f" … {len(text):,} characters … "
    keep = max(0, size - len(note))
    tail = keep // 4
    return text[: keep - tail] + note + (text[-tail:] if tail else "")


def fenced(text: str, language: str = "text") -> str:
    """Return a fenced block whose fence is longer than any run of backticks inside."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text)}\n{fence}"


def quote(text: str) -> str:
    """Return a block quote that shows the lines of ``text`` and has no structure of its own."""
    lines = [literal(line) for line in text.splitlines() if line.strip()]
    return "> " + "<br>\n> ".join(lines or [""])


def details(summary: str, body: str) -> str:
    """Return a block that opens on a click. ``summary`` is plain text, ``body`` is Markdown."""
    line = html.escape(one_line(summary), quote=False)
    return f"<details><summary>{line}</summary>\n\n{body}\n\n</details>"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table of cells that are Markdown of one line already. Heads of numbers end in
    ``:``."""
    marks = ["---:" if name.endswith(":") else "---" for name in head]
    lines = [[name.rstrip(":") for name in head], marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
