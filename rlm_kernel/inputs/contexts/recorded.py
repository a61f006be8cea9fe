"""The source of a context that a record names, found again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ...errors import ContextError, RecordError, UsageError
from . import folders
from .source import Kind, Source, utf8


def find(spec: dict[str, Any], near: Path) -> tuple[Source | None, str]:
    """Find the bytes of a recorded ``spec`` again; return their source, None where there is none,
    and one sentence: where they were found, or why not.

    They are looked for by hash in ``spec["text"]`` (the bytes as stored, decoded as UTF-8 with
    surrogatepass), ``near/"blobs"``, the recorded path, and the same name in ``near``. A path
    whose content changed is no match. Raises ``RecordError`` for a spec that is none.
    """
    wanted = _checked(spec)
    reasons = []
    if isinstance(spec.get("text"), str):
        data = utf8(spec["text"])
        if hashlib.sha256(data).hexdigest() == wanted.sha256:
            return replace(wanted, path=None, data=data), "found in the record"
        reasons.append("the text in the record was changed")
    for path in _paths(spec, near):
        try:
            there = _at(path, wanted)
        except (OSError, ContextError, UsageError) as problem:
            reasons.append(f"{path} cannot be read ({problem})")
            continue
        if there is not None and there.sha256 == wanted.sha256:
            return there, f"found at {path}"
        if there is not None:
            reasons.append(f"{path} has other content than when it was recorded")
    return None, "; ".join(reasons) or f"{wanted.name} is neither in the record nor on this machine"


def _checked(spec: dict[str, Any]) -> Source:
    """Return the spec as a source with no bytes yet, checked: a record may come from anyone."""
    kind: Any = spec.get("kind")
    digest, size = spec.get("sha256"), spec.get("size")
    texts = [spec.get(key) for key in ("encoding", "errors", "name")]
    is_hash = isinstance(digest, str) and len(digest) == 64 and digest.isalnum()
    is_text = all(isinstance(text, str) for text in texts)
    reading: Any = spec.get("reading", 1)
    exclude = spec.get("exclude", [])
    is_list = isinstance(exclude, list) and all(isinstance(text, str) for text in exclude)
    is_read = kind in get_args(Kind) and isinstance(reading, int) and is_list
    if not is_read or not is_hash or not isinstance(size, int) or not is_text:
        raise RecordError(f"the record has a context that cannot be read: {repr(spec)[:200]}")
    return Source(
        kind=kind, path=None, data=None, sha256=str(digest), size=size, reading=reading,
        encoding=str(texts[0]), errors=str(texts[1]), name=str(texts[2]), exclude=tuple(exclude),
    )  # fmt: skip


def _paths(spec: dict[str, Any], near: Path) -> list[Path]:
    paths = [near / "blobs" / str(spec["sha256"])]
    if isinstance(spec.get("path"), str):
        paths += [near / spec["path"], near / Path(spec["path"]).name]
    return list(dict.fromkeys(paths))


def _at(path: Path, wanted: Source) -> Source | None:
    """Return what is at a path, read as the wanted source was; None if there is no such thing."""
    if wanted.kind == "folder" and path.is_dir():
        found = folders.listing(path, wanted.exclude, reading=wanted.reading)
        return replace(wanted, path=path, data=found.packed(), sha256=found.sha256)
    if wanted.kind != "folder" and path.is_file():
        return replace(wanted, path=path, sha256=folders.hash_file(path))
    return None
