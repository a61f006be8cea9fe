"""A trajectory's notebook as it is read: it may come from anyone, and is checked here.

What stands in ``metadata.rlm`` is of the published form, ``schema/trajectory-N.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ..equality import VERSION
from ...errors import RecordError
from .. import files
from . import ipynb
from ..forms import event_of
from .ipynb import Notebook
from ..packing import (blob_named, unpack)

About = dict[str, Any]
"""``metadata.rlm``, with its long texts as ``packing.pack`` left them."""


def load(path: Path) -> tuple[Notebook, About]:
    """Return the notebook and its ``metadata.rlm``.

    Raises ``RecordError`` for what is no trajectory, is damaged or is of a newer format.
    """
    try:
        notebook = ipynb.loads(files.read(path))
    except OSError as error:
        raise RecordError(f"{path}: no trajectory can be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordError(f"{path}: this is not a notebook: {error}") from error
    about = notebook["metadata"].get("rlm")
    if not isinstance(about, dict) or "node" not in about:
        raise RecordError(f"{path}: the notebook has no metadata.rlm; it is not a trajectory")
    _check(path, about)
    if not all(isinstance(_number(cell), int | None) for cell in notebook["cells"]):
        raise RecordError(f"{path}: the notebook is damaged: the number of a cell is none")
    return notebook, about


def _number(cell: dict[str, Any]) -> Any:
    return cell["metadata"].get("rlm", {}).get("cell")


def _check(path: Path, about: About) -> None:
    import fastjsonschema

    version = about.get("schema")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise RecordError(
            f"{path}: it is of version {str(version)[:20]} of the format, and versions 1 to "
            f"{VERSION} are known here: update rlm_kernel"
        )
    try:
        _validator(version)(about)
        unpack(about, blob_named)
        for part in _as_events(about):
            event_of(part)
    except fastjsonschema.JsonSchemaValueException as error:
        raise RecordError(f"{path}: metadata.rlm is damaged: {error.message[:300]}") from None
    except (RecordError, ValueError) as error:
        raise RecordError(f"{path}: metadata.rlm is damaged: {error}") from None


def _as_events(about: About) -> Iterator[dict[str, Any]]:
    """Those parts whose values the published form leaves open, in the form of events."""
    yield {
        "kind": "run_started", "run": about["run"], "question": "", "time": 0.0,
        "settings": about["settings"], "versions": about["versions"],
    }  # fmt: skip
    for row in (about, *about["tree"]):
        for usage in (row["usage"], row["total"]):
            yield {
                "kind": "run_ended", "status": "answered", "answer": None, "confirmed": True,
                "reason": None, "usage": usage, "turns": row["turns"], "calls": row["sub_calls"],
                "seconds": row["seconds"], "time": 0.0,
            }  # fmt: skip


@cache
def _validator(version: int) -> Callable[[About], object]:
    import fastjsonschema

    schema = Path(__file__).parents[1] / "schema" / f"trajectory-{version}.json"
    check: Callable[[About], object] = fastjsonschema.compile(json.loads(schema.read_text("utf-8")))
    return check
