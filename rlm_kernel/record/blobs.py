"""The blobs of a run's folder: long texts of its record, and contexts with their bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..events import CallEnded, ContextSet, Event, NodeStarted
from . import files
from .equality import sha256

_SHA256 = re.compile(r"[0-9a-f]{64}")


def text(blobs: Path, name: Any, chars: Any) -> str:
    """Return the text of so many ``chars`` kept under this name. Raises ``OSError`` and
    ``ValueError``."""
    # The name comes from the file: nothing but a hash may become part of a path.
    if not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise ValueError(f"not a sha256: {ascii(name)[:80]}")
    if not isinstance(chars, int) or not 0 <= chars <= files.LARGEST_FILE:
        raise ValueError(f"not a number of characters: {ascii(chars)[:80]}")
    # Of a character UTF-8 has four bytes at most.
    read = files.read(blobs / name, 4 * chars).decode("utf-8", "surrogatepass")
    if sha256(read) != name:
        raise ValueError(f"blobs/{name} was changed after it was written")
    return read


def in_folder(event: Event, folder: Path) -> Event:
    """Return the event with its context, or its images, in the blobs of ``folder``. Blocks."""
    if isinstance(event, CallEnded) and event.images:
        return replace(event, images=[owned(spec, folder) for spec in event.images])
    if not isinstance(event, ContextSet | NodeStarted) or event.context is None:
        return event
    spec = owned(event.context.spec, folder)
    if spec is event.context.spec:
        return event
    return replace(event, context=replace(event.context, spec=spec))


def owned(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a context's spec with its bytes in the blobs of ``folder``, if they are in those of
    another run."""
    path = Path(spec.get("path") or "")
    if "text" in spec or path.parent.name != "blobs" or path.name != spec.get("sha256"):
        return spec
    own = folder / "blobs" / path.name
    if not own.exists() and path.exists():
        files.take(path, own)
    return {**spec, "path": None} if own.exists() else spec
