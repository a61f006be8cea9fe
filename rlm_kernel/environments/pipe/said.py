"""The words of a relay: perhaps an LM's code wrote them, and they are checked here."""

from __future__ import annotations

import re

from ...remote.relay import Fields, PipeError

GREETING = re.compile(r"^NOTE: When using the `ipython kernel`.*?--existing \S+\n", re.M | re.S)
"""Written first by ipykernel when it was started by hand, as it seems to it here."""


def text_of(fields: Fields, name: str) -> str:
    """Return a text of an order. Raises ``PipeError`` where there is none."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise PipeError(f"the relay said {fields.get('do')!r} without a text {name!r}")
    return printable(value)


def printable(text: str) -> str:
    """Return the text without what a terminal would obey."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def number_of(fields: Fields, name: str) -> int:
    """Return a number of an order. Raises ``PipeError`` where there is none of a sane size."""
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 1 << 40:
        raise PipeError(f"the relay said {fields.get('do')!r} without a number {name!r}")
    return value


def epitaph(fields: Fields) -> str:
    """Return how a kernel ended, and the last that it wrote. Raises ``PipeError``."""
    code = number_of(fields, "code")
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    if fields.get("oom") is True:
        how += ", out of memory"
    tail = printable(GREETING.sub("", str(fields.get("log", "")))[-2000:]).strip()
    return f"the kernel ended ({how})" + (f"\n{tail}" if tail else "")
