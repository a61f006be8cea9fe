"""Records that somebody made anew: whatever stands in them, their seals are right."""

from __future__ import annotations

import hashlib
from typing import Any

from rlm_kernel.record.equality import canonical


def resealed(events: list[Any]) -> bytes:
    """The bytes of a sealed record of these events, as plain data."""
    data, chain = b"", ""
    for event in events:
        text = canonical(event)
        chain = hashlib.sha256((chain + text).encode("ascii")).hexdigest()[:32]
        data += f'{{"seal": "{chain}", "event": {text}}}\n'.encode("ascii")
    return data + f'{{"sealed": "{hashlib.sha256(data).hexdigest()}"}}\n'.encode("ascii")
