"""The kernel and the language that a notebook names, as front ends write them on opening it."""

from __future__ import annotations

import sys
from typing import Any

KERNELSPEC = {"name": "rlm", "display_name": "RLM", "language": "python"}
LANGUAGE_INFO: dict[str, Any] = {
    "name": "python",
    "version": sys.version.split()[0],
    "mimetype": "text/x-python",
    "codemirror_mode": {"name": "ipython", "version": 3},
    "pygments_lexer": "ipython3",
    "nbconvert_exporter": "python",
    "file_extension": ".py",
}
_MOST = 1e21
"""From here on JavaScript writes a whole number with an exponent, as Python does."""


def whole(value: Any) -> Any:
    """Return plain JSON data with its whole numbers as integers, as which a browser saves them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _MOST:
        return int(value)
    if isinstance(value, dict):
        return {key: whole(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [whole(part) for part in value]
    return value
