"""An LM's own Markdown, shown as Markdown among ours: it may be set, but may not act or break out.

JupyterLab sanitises what it shows, other viewers and ``nbconvert`` do not.
"""

from __future__ import annotations

import re

from ...record.markdown import inert

_LINE_END = re.compile(r"\r\n?|\n")
# In a formula no space stands inside of its dollar signs, and no digit after it.
_FORMULA = re.compile(r"\$\$|\$(?! )[^$\n]*(?<! )\$(?!\d)")


def words(text: str) -> str:
    """Make text ``inert``, with amounts of money that set no formulas."""
    safe = inert(text)
    # In code an entity would be shown as it is written.
    return safe if "`" in safe or _FORMULA.search(safe) else amounts(safe)


def amounts(text: str) -> str:
    """Write dollar signs such that no two of them set a formula; not for code."""
    return text.replace("$", "<span>&#36;</span>")


def inside(markdown: str) -> str:
    """Put Markdown in a block quote, which keeps it apart from what is around it in every viewer.

    It also ends whatever was left open in it, a fence for one.
    """
    # A lone carriage return ends a line in Markdown, and with it the quote.
    return "\n".join(f"> {line}".rstrip() for line in _LINE_END.split(markdown))
