"""Whether a cell in a notebook still is the one that was recorded: formatters lay code out anew."""

from __future__ import annotations

import ast
import warnings
from functools import lru_cache

from ..markdown import printable

LONGEST = 200_000
"""Sources up to this size are parsed."""


def same(one: str, other: str) -> bool:
    """Return whether two sources do the same, character for character or as Python parses them.

    Comments, quotation marks and line breaks may differ; names, values and order may not. What
    only IPython understands must be the same text.
    """
    if _tidy(one) == _tidy(other):
        return True
    if max(len(one), len(other)) > LONGEST:
        return False
    parsed = _parsed(_tidy(one))
    return parsed is not None and parsed == _parsed(_tidy(other))


def _tidy(source: str) -> str:
    """Return the source as notebooks' files keep it: tools write other line ends around it."""
    return printable(source).replace("\r\n", "\n").strip()


@lru_cache(maxsize=512)
def _parsed(source: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what the cell says, which is not ours
            return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
