"""The rows of an earlier run's maps that answer again: the same item, asked the same of the same
model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import CallRefused, RecordError
from ..events import CallEnded
from ..record.nodes import slot_of
from ..record.recording import Recording
from ..repl.map_options import MapOptions

Slot = dict[str, Any]


def answers(folder: Path, options: MapOptions, asked: str | None, default: str) -> dict[str, Slot]:
    """Return by their item's text the slots of rows in the run's ``folder``. ``asked`` is the model
    as the cell names it, ``default`` the one that is meant where it names none. Raises
    ``CallRefused`` where there is no record. Blocks."""
    try:
        recording = Recording.open(folder)
    except (RecordError, OSError) as error:
        raise CallRefused(
            f"llm_map: since={folder.name!r}: no record of a run of this name stands beside this "
            "run's folder, or it cannot be read"
        ) from error
    settings = recording.started.settings if recording.started is not None else {}
    wanted = _same(options.written)
    before = settings.get("sub_model")
    calls = [e for e in recording.events if isinstance(e, CallEnded) and e.op == "llm_map"]
    alike = {(e.node, e.call) for e in calls if e.options and _same(e.options) == wanted}
    return {
        e.prompt: _again(slot_of(e), folder.name)
        for e in calls
        if (e.node, e.call) in alike
        and e.error is None
        and (e.asked or before) == (asked or default)
    }


def _same(written: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked, wherever answers may come from."""
    return {name: value for name, value in written.items() if name != "since"}


def _again(slot: Slot, run: str) -> Slot:
    """Return a slot that says which run it is from; its place is another now."""
    known = {n: v for n, v in slot.get("about", {}).items() if n not in ("row", "span")}
    return {**slot, "about": {**known, "since": known.get("since", run)}}
