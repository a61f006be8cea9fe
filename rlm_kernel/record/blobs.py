"""Contexts that a run takes over from another one: their bytes go with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..events import ContextSet, Event, NodeStarted
from . import files


def in_folder(event: Event, folder: Path) -> Event:
    """The event with its context, if it has one, in the blobs of ``folder``. Blocks."""
    if not isinstance(event, ContextSet | NodeStarted) or event.context is None:
        return event
    spec = owned(event.context.spec, folder)
    if spec is event.context.spec:
        return event
    return replace(event, context=replace(event.context, spec=spec))


def owned(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The spec with its bytes in the blobs of ``folder`` if they are in those of another run."""
    path = Path(spec.get("path") or "")
    if "text" in spec or path.parent.name != "blobs" or path.name != spec.get("sha256"):
        return spec
    own = folder / "blobs" / path.name
    if not own.exists() and path.exists():
        files.take(path, own)
    return {**spec, "path": None} if own.exists() else spec
