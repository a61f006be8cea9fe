"""HTML made of parts that are escaped unless they are HTML already."""

from __future__ import annotations

import html
import re

from ...record.markdown import printable

# Controls that are no white space have pictures; those that turn the direction of text could make
# code look like other code.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
_EMPTY = frozenset({"img"})


class Html(str):
    """Text that is HTML: it stands in a page as it is."""

    __slots__ = ()


def visible(text: str) -> str:
    """Return plain text in which nothing is hidden: control and direction characters are shown."""
    if text.isascii() and text.isprintable():
        return text
    return _HIDDEN.sub(_shown, printable(text).replace("\r\n", "\n"))


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def escaped(text: str) -> Html:
    return text if isinstance(text, Html) else Html(html.escape(visible(text)))


def h(tag: str, *inner: str | None, **attributes: str | int | float | None) -> Html:
    """Make an element. ``None`` leaves an attribute or a part out; ``class_`` is ``class``."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escaped(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{given}>" if tag in _EMPTY else f"<{tag}{given}>{joined(*inner)}</{tag}>")


def joined(*parts: str | None, by: str = "") -> Html:
    return Html(by.join(escaped(part) for part in parts if part is not None))


def block_id(kind: str, node: str, number: int | None = None) -> str:
    """Return the id of a node's section or of one of its cells; names of nodes may be anything."""
    name = re.sub(r"[^A-Za-z0-9.]", "-", node)[:60]
    return f"{kind}-{name}" if number is None else f"{kind}-{name}-{number}"
