"""A trajectory's notebook as it is read: it may come from anyone, and is checked here.

What stands in ``metadata.rlm`` is of the published form, ``schema/trajectory-VERSION.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...errors import RecordError
from .. import equality, files
from ..format_version import FormatVersion, NewerRecord, checked
from ..forms import event_of
from ..packing import blob_named, unpack
from . import ipynb
from .ipynb import Notebook
from .metadata import SCHEMA

About = dict[str, Any]
"""``metadata.rlm``, with its long texts as ``packing.pack`` left them."""
_LATEST = {1: FormatVersion(1), 2: SCHEMA}
"""The last version of each major one."""


@dataclass(frozen=True)
class Page:
    """A trajectory's notebook. ``rules`` is the major version of the rules of comparison that the
    digests in it go by."""

    path: Path
    notebook: Notebook
    about: About
    rules: int

    @property
    def folder(self) -> Path:
        """The run's folder, where blobs and contexts are looked for."""
        return folder_of(self.path)


def folder_of(path: Path) -> Path:
    """Return the folder of the run that a file of it belongs to."""
    return path.parent.parent if path.parent.name == "calls" else path.parent


def load(path: Path) -> Page:
    """Read and check a notebook.

    Raises ``RecordError`` for what is no trajectory, is damaged or is of a newer version.
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
    rules = _checked(path, about)
    if not all(isinstance(_number(cell), int | None) for cell in notebook["cells"]):
        raise RecordError(f"{path}: the notebook is damaged: the number of a cell is none")
    return Page(path=path, notebook=notebook, about=about, rules=rules)


def _number(cell: dict[str, Any]) -> Any:
    return cell["metadata"].get("rlm", {}).get("cell")


def _checked(path: Path, about: About) -> int:
    """Check ``metadata.rlm`` and return the major version of its rules."""
    import fastjsonschema

    try:
        version = checked(about.get("schema"), SCHEMA, "metadata")
        rules = checked(about.get("rules", version.major), equality.VERSION, "rules of comparison")
    except NewerRecord as error:
        raise NewerRecord(f"{path}: {error}") from error
    except ValueError as error:
        raise RecordError(
            f"{path}: its version is not known here: {error}; update rlm_kernel"
        ) from None
    newer = version.has_unknown(_LATEST[version.major])
    try:
        _validator(min(version, _LATEST[version.major]), newer)(about)
        unpack(about, blob_named)
        for part in _as_events(about):
            event_of(part, newer)
    except fastjsonschema.JsonSchemaValueException as error:
        raise RecordError(f"{path}: metadata.rlm is damaged: {error.message[:300]}") from None
    except (RecordError, ValueError) as error:
        raise RecordError(f"{path}: metadata.rlm is damaged: {error}") from None
    return rules.major


def _as_events(about: About) -> Iterator[dict[str, Any]]:
    """Yield those parts whose values the published form leaves open, in the form of events."""
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
def _validator(version: FormatVersion, newer: bool) -> Callable[[About], object]:
    """Return the check of a known version; with ``newer`` of one that may have more fields."""
    import fastjsonschema

    name = version if version.minor else version.major
    schema = json.loads(
        (Path(__file__).parents[1] / "schema" / f"trajectory-{name}.json").read_text("utf-8")
    )
    check: Callable[[About], object] = fastjsonschema.compile(_open(schema) if newer else schema)
    return check


def _open(schema: Any) -> Any:
    """Return a schema without what it says of its version and of fields that it does not name."""
    if isinstance(schema, list):
        return [_open(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        "anyOf" if key == "oneOf" else key: _open(part)
        for key, part in schema.items()
        if key != "const" and (key, part) != ("additionalProperties", False)
    }
