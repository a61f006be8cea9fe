"""Contexts that a run takes over from another one: their bytes go with them."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..events import ContextSet, Event, NodeStarted


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
        own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _linked(path, own)
    return {**spec, "path": None} if own.exists() else spec


def _linked(path: Path, own: Path) -> None:
    """Blobs never change, so a link will do; another file system wants a copy."""
    try:
        os.link(path, own)
    except OSError:
        part = own.with_name(f"{own.name}.{os.getpid()}.part")
        shutil.copyfile(path, part)
        part.replace(own)
