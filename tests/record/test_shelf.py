"""A session's events with their outputs on disk."""

from __future__ import annotations

import os
import tracemalloc
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.events import CellRan, Event
from rlm_kernel.record import shelf
from rlm_kernel.record.shelf import Shelf

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _cell(number: int, data: object) -> CellRan:
    output = {"output_type": "display_data", "data": {"application/json": data}, "metadata": {}}
    return CellRan("0", number, 0, "x", "human", "ok", [output], [], None, None, 0.0, 1.0)


def _shelf(*events: Event) -> Shelf:
    made = Shelf()
    for event in events:
        made.append(event)
    return made


@given(st.lists(VALUES, max_size=4))
def test_events_are_what_they_were(values: list[object]) -> None:
    events = [_cell(i, [value, "x" * shelf.SMALL]) for i, value in enumerate(values)]
    made = _shelf(*events)
    assert list(made) == events == [made[i] for i in range(len(made))]
    assert made == _shelf(*events) == events
    assert made[1:] == events[1:]


def test_a_part_is_as_it_was_when_it_was_taken() -> None:
    events = [_cell(i, f"{i}" * 50_000) for i in range(3)]
    made = _shelf(*events[:2])
    past = made[:]
    made.append(events[2])
    assert (past == events[:2], made[: len(past)] == past) == (True, True)
    made.clear()
    made.append(events[2])
    assert (list(past), list(made)) == (events[:2], events[2:])
    assert made[: len(past)] != past


def test_large_outputs_are_not_in_memory() -> None:
    tracemalloc.start()
    made = _shelf(*(_cell(i, os.urandom(1_000_000).hex()) for i in range(10)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 500_000
    assert len(list(made)) == 10


def test_where_the_disk_is_full_they_stay_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = partial(open, "/dev/full", "w+b")
    monkeypatch.setattr(shelf.tempfile, "TemporaryFile", full)
    event = _cell(1, "x" * 50_000)
    assert list(_shelf(event)) == [event]
    assert "stay in memory" in caplog.text
