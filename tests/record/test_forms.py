"""A record may come from anyone: whatever stands in it, each reader reads it or says in a sentence
what is wrong."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from resealed import resealed
from rich.console import Console
from stories import context_set, lived_in, story
from test_notebook import view

from rlm_kernel.errors import RecordError, RLMError
from rlm_kernel.events import TRANSIENT, CellDecided, Event, to_dict
from rlm_kernel.record import trajectory
from rlm_kernel.record.forms import event_of
from rlm_kernel.record.notebooks import ipynb
from rlm_kernel.record.packing import blob_named, pack, unpack
from rlm_kernel.record.recording import Recording
from rlm_kernel.replay import continuation, reopen
from rlm_kernel.replay.replay import recorded_kernels
from rlm_kernel.reports import comparable_run, listing, provenance_of, show
from rlm_kernel.session import answer_cache

ODD: tuple[Any, ...] = (
    5, -1, 1.5, True, None, "x", "../../x", "\x00", "\ud800", "x" * 5000, [], [5], [[]], ["x"], {},
    {"x": 5}, {"$blob": "../../x", "chars": "y"}, {"$escaped": "\\q\\"}, {"kind": 5}, 10**400,
    1e308, float("nan"), float("inf"),
)  # fmt: skip
RECORDED = [kind for kind in get_args(Event) if kind not in TRANSIENT]


def shown(path: Path) -> None:
    loaded = Recording.open(path)
    show.render(loaded, Console(file=io.StringIO()))
    json.dumps(show.as_json(loaded))


def listed(path: Path) -> None:
    row = listing.read(path)
    assert row.status == listing.DAMAGED or row.note is None or "damaged" not in row.note


def replayed(path: Path) -> None:
    recorded = trajectory.load(path)
    recorded_kernels(recorded)
    for node in recorded.nodes:
        recorded.seed(node)


def explained(path: Path) -> None:
    provenance_of.find(Recording.open(path))


def forked(path: Path) -> None:
    run = continuation.fork(path, None)
    assert run.place.values
    assert run.spoken is not None


def recalled(path: Path) -> None:
    wanted = answer_cache.AskedBefore("How many of the reviews are positive?", None, {})
    answer_cache.find(wanted, [path.parent])


READERS: tuple[Callable[[Path], object], ...] = (
    shown, listed, replayed, explained, comparable_run.load, forked, recalled, reopen.left_out,
    reopen.reopen,
)  # fmt: skip


def is_refused(read: Callable[[Path], object], path: Path) -> bool:
    """Whether a reader refuses it, in one line."""
    try:
        read(path)
    except RLMError as error:
        return bool(re.fullmatch(".{10,1000}", str(error))) or pytest.fail(str(error))
    return False


def every(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values in plain data, the first of each list only."""
    if path and path != ("kind",):
        yield path
    if isinstance(data, dict | list):
        inside = data.items() if isinstance(data, dict) else enumerate(data[:1])
        for name, value in inside:
            yield from every(value, (*path, name))


def changed(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    first, *rest = place
    made = dict(data) if isinstance(data, dict) else list(data)
    made[first] = changed(data[first], tuple(rest), value)
    return made


def full_settings() -> dict[str, Any]:
    spec = context_set().context.spec
    module = {"name": "m", "source": "def f(): pass", "tools": {"f": "f"}, "needs": {}}
    limits = {"cell_seconds": 120.0, "depth": 1}
    return {
        "model": "m", "environment": "local", "sandbox": {"memory": "1g"}, "seed": 5,
        "kernel": "python3", "prompt": "small", "prompt_chars": 400, "max_batch": 10,
        "tools": ["f"], "tool_modules": [module], "limits": limits, "data": {"d": spec},
        "origin": {"kind": "fork", "run": "r", "cell": 1}, "asked": {},
    }  # fmt: skip


DECIDED = CellDecided(
    node="0",
    cell=1,
    turn=1,
    choice="edited",
    source="x = 1",
    word="go on",
    seconds=1.5,
    time=1.0,
)


def rich_run() -> list[dict[str, Any]]:
    """Every kind of event with all of its fields set."""
    told = [*story(1)[:8], *story(1)[-8:], *lived_in()[2:3], DECIDED]
    events = [to_dict(event) for event in told]
    events[0]["settings"] = full_settings()
    for event in events:
        if event["kind"] == "call_ended":
            event["error"] = event["error"] and {**event["error"], "cause": "server"}
    return events


def changes(events: list[dict[str, Any]], place: int) -> Iterator[list[dict[str, Any]]]:
    """The run with one value of one event changed: all that pass as events, and of those that do
    not one for each value."""
    for number, where in enumerate(every(events[place])):
        told = False
        for value in ODD if len(where) == 1 else ODD[number % 8 :: 8]:
            made = changed(events[place], where, value)
            try:
                event_of(unpack(pack(made, None), blob_named))
            except (RecordError, ValueError):
                if told:
                    continue
                told = True
            yield [*events[:place], made, *events[place + 1 :]]


@pytest.mark.parametrize("kind", RECORDED, ids=lambda kind: str(kind.kind))
def test_a_field_of_another_type_ends_no_reader_in_a_traceback(tmp_path: Path, kind: Any) -> None:
    events, refused = rich_run(), 0
    place = next(i for i, event in enumerate(events) if event["kind"] == kind.kind)
    for made in changes(events, place):
        (tmp_path / "journal.jsonl").write_bytes(resealed(made))
        refused += sum(is_refused(read, tmp_path) for read in READERS)
    assert refused


NOTEBOOK_READERS = (shown, listed, replayed, explained, comparable_run.load)


def test_a_notebook_alone_with_a_value_of_another_type_ends_no_reader_in_a_traceback(
    tmp_path: Path,
) -> None:
    made = json.loads(ipynb.dumps(view(story(1), folder=True)))
    path, about = tmp_path / "trajectory.ipynb", made["metadata"]["rlm"]
    about["settings"] = full_settings()
    refused = 0
    for number, where in enumerate(every(about)):
        for value in ODD if len(where) == 1 else ODD[number % 8 :: 8]:
            made["metadata"]["rlm"] = changed(about, where, value)
            path.write_text(json.dumps(made))
            refused += sum(is_refused(read, path) for read in NOTEBOOK_READERS)
    assert refused


def test_a_cell_of_a_notebook_that_is_none_ends_no_reader_in_a_traceback(tmp_path: Path) -> None:
    made = json.loads(ipynb.dumps(view(story(1), folder=True)))
    path, cells = tmp_path / "trajectory.ipynb", made["cells"]
    number = next(n for n, each in enumerate(cells) if each.get("outputs"))
    for count, where in enumerate(every(cells[number])):
        for value in ODD[count % 4 :: 4]:
            made["cells"] = [*cells[:number], changed(cells[number], where, value)]
            path.write_text(json.dumps(made))
            for read in NOTEBOOK_READERS:
                is_refused(read, path)
