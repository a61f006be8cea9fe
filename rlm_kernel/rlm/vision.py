"""Figures and images of cells, as an author that sees is shown them.

They come from a cell: they are known by their first bytes and never decoded here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from ..events import Output
from ..lm.model import image_part
from ..remote.guest.images import measured, wrong_with

MOST = 8
"""Pictures of a turn that are shown, the newest."""
MIMES = ("image/png", "image/jpeg")
LEFT_OUT = "{count} of the images above are not shown to you: {why}."


def of_outputs(outputs: Iterable[Output]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the pictures of a turn's outputs as parts of a message, in their order, and notices on
    those that are left out."""
    found = [_picture(output) for output in outputs]
    parts = [part for part, _ in found if part is not None]
    wrong = [why for _, why in found if why is not None]
    notices = [LEFT_OUT.format(count=len(wrong), why=wrong[0])] if wrong else []
    if len(parts) > MOST:
        why = f"{MOST} of a turn are, the last ones"
        notices.append(LEFT_OUT.format(count=len(parts) - MOST, why=why))
    return parts[-MOST:], notices


def _picture(output: Output) -> tuple[dict[str, Any] | None, str | None]:
    """Return the picture of an output, or why it is not shown; neither where it has none."""
    data = output.get("data", {})
    mime = next((mime for mime in MIMES if isinstance(data.get(mime), str)), None)
    if mime is None:
        return None, None
    text = "".join(data[mime].split())
    try:
        whole = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None, "it is no base64"
    if (wrong := wrong_with(whole)) is not None:
        return None, wrong
    about = measured(whole)
    assert about is not None, "nothing is wrong with it"
    return image_part(about[0], text), None
