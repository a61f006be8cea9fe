"""Which files of a folder a folder context has, and the hash of them all."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ...errors import ContextError
from . import detect

MAX_FILES = 100_000


def list_files(folder: Path) -> tuple[list[str], str | None]:
    """The relative posix paths of the files that a folder context has, sorted, and a notice.

    Hidden and binary files and links that leave the folder are skipped; the notice counts them.
    ``guest.Folder`` follows the same rules. Raises ``ContextError`` over ``MAX_FILES``.
    """
    kept: list[str] = []
    skipped: Counter[str] = Counter()
    for seen, (path, relative) in enumerate(_walk(folder, skipped)):
        if seen >= MAX_FILES:
            raise ContextError(f"{folder} has more than {MAX_FILES:,} files: give a smaller folder")
        reason = _why_skipped(path, os.path.realpath(folder))
        if reason is None:
            kept.append(relative)
        else:
            skipped[reason] += 1
    counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
    return sorted(kept), f"Skipped: {counts}." if counts else None


def manifest(folder: Path, files: list[str]) -> tuple[str, int]:
    """The hash of the list of path, size and hash of each file, and the sum of the sizes."""
    sha, total = hashlib.sha256(), 0
    for relative in files:
        path = folder / relative
        size = path.stat().st_size
        sha.update(json.dumps([relative, size, hash_file(path)]).encode() + b"\n")
        total += size
    return sha.hexdigest(), total


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(folder: Path, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    """Path and relative path of each file that is not hidden. Links to folders are not followed."""
    for here, folders, names in os.walk(folder):
        hidden = [name for name in itertools.chain(folders, names) if name.startswith(".")]
        if hidden:
            skipped["hidden"] += len(hidden)
        links = [d for d in folders if os.path.islink(os.path.join(here, d))]
        if links:
            skipped["links to folders"] += len(links)
        folders[:] = sorted(set(folders) - set(hidden) - set(links))
        for name in sorted(set(names) - set(hidden)):
            path = os.path.join(here, name)
            yield path, Path(os.path.relpath(path, folder)).as_posix()


def _why_skipped(path: str, root: str) -> str | None:
    real = os.path.realpath(path)
    if os.path.commonpath([real, root]) != root:
        return "links that leave the folder"
    if not os.path.isfile(real):
        return "not files"
    try:
        with open(real, "rb") as file:
            return "binary" if detect.is_binary(file.read(detect.HEAD_BYTES)) else None
    except OSError:
        return "unreadable"
