"""Kernel messages and requests of odd forms, made by hypothesis; the same ones for a seed.

Each is a valid one with something changed: a field or a MIME type that is missing, of another
type, huge, deep or of odd text.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Content = dict[str, Any]
Place = tuple[str, ...]

_PNG = "iVBORw0KGgo="
_SHOWN: Content = {
    "data": {
        "text/plain": "shown",
        "text/html": "<b>shown</b>",
        "text/markdown": "*shown*",
        "text/latex": "$x$",
        "image/png": _PNG,
        "image/svg+xml": "<svg/>",
        "application/json": {"a": [1]},
        "application/javascript": "1",
        "application/vnd.some+json": {"a": 1},
    },
    "metadata": {"image/png": {"width": 3}},
    "transient": {"display_id": "one"},
}
OUTPUTS: dict[str, Content] = {
    "stream": {"name": "stdout", "text": "said"},
    "display_data": _SHOWN,
    "update_display_data": _SHOWN,
    "execute_result": {**_SHOWN, "execution_count": 3},
    "error": {"ename": "E", "evalue": "v", "traceback": ["one", "two"]},
}
IOPUB: dict[str, Content] = {
    **OUTPUTS,
    "clear_output": {"wait": True},
    "comm_open": {"comm_id": "a", "target_name": "t", "data": {"a": 1}},
    "comm_msg": {"comm_id": "a", "data": {"a": 1}},
    "comm_close": {"comm_id": "a", "data": {}},
    "status": {"execution_state": "busy"},
    "execute_input": {"code": "1", "execution_count": 3},
    "debug_event": {"type": "event", "event": "stopped", "body": {}},
    "no_such_type": {"a": 1},
}
STDIN: dict[str, Content] = {"input_request": {"prompt": "? ", "password": False}}
SHELL: dict[str, Content] = {
    "execute_reply": {
        "status": "ok",
        "execution_count": 3,
        "user_expressions": {},
        "payload": [{"source": "page", "data": {"text/plain": "x"}, "start": 0}],
    }
}
_PLACE: Content = {"code": "import os; os.pa", "cursor_pos": 10}
REQUESTS: dict[str, Content] = {
    "execute_request": {
        "code": "6 * 7",
        "silent": False,
        "store_history": True,
        "user_expressions": {"a": "1"},
        "allow_stdin": False,
        "stop_on_error": False,
    },
    "complete_request": _PLACE,
    "inspect_request": {**_PLACE, "detail_level": 0, "omit_sections": []},
    "history_request": {
        "hist_access_type": "range",
        "output": True,
        "raw": True,
        "session": 0,
        "start": 0,
        "stop": 3,
        "n": 3,
        "pattern": "*",
        "unique": True,
    },
    "is_complete_request": {"code": "if x:"},
    "comm_info_request": {"target_name": "t"},
    "kernel_info_request": {},
    "comm_open": IOPUB["comm_open"],
    "comm_msg": IOPUB["comm_msg"],
    "comm_close": IOPUB["comm_close"],
    "no_such_request": {"a": 1},
}
CONTROLS: dict[str, Content] = {
    "debug_request": {"seq": 1, "type": "request", "command": "debugInfo", "arguments": {}},
    "create_subshell_request": {},
    "delete_subshell_request": {"subshell_id": "x"},
    "list_subshell_request": {},
    "usage_request": {},
}
ODD = (
    None, True, False, 0, -1, 3.5, 10**30, "", "\ud800", "\x00\x1b]52;c;x\x07", "2026-01-01T99:00",
    float("nan"), float("inf"), [], [1], ["a", "b"], [[]], {}, {"a": None}, {"\ud800": "\udfff"},
    [{"a": {"b": "<b>"}}], "<<huge>>", ["<<huge>>"], {"<<huge>>": 1}, "<<deep 50>>", "<<deep 120>>",
    "<<deep 600>>", "<<deep 5000>>", {"a": "<<deep 120>>"}, {"x" * 3000: 1}, [None] * 3000,
)  # fmt: skip
"""Values in the place of others; see ``sending`` for what the angle brackets stand for."""


@dataclass(frozen=True)
class Odd:
    """A message or a request. ``what`` says what is odd about it."""

    channel: str
    kind: str
    content: Any
    metadata: Any
    what: str
    busy: bool = False
    """Whether the request is sent while a cell runs."""

    def json(self) -> tuple[str, str]:
        return json.dumps(self.content), json.dumps(self.metadata)


def _places(value: Any, path: Place = ()) -> Iterator[Place]:
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*path, name))


def _changed(value: Any, path: Place, new: Any, *, gone: bool) -> Any:
    if not path:
        return new
    value = copy.deepcopy(value)
    parent = value
    for name in path[:-1]:
        parent = parent[name]
    if gone:
        del parent[path[-1]]
    else:
        parent[path[-1]] = new
    return value


def _all_of(channel: str, kinds: dict[str, Content]) -> list[tuple[str, str, Content]]:
    return [(channel, kind, content) for kind, content in kinds.items()]


@st.composite
def _odd(draw: st.DrawFn, valid: list[tuple[str, str, Content]]) -> Odd:
    channel, kind, content = draw(st.sampled_from(valid))
    whole, what = {"content": content, "metadata": {}}, []
    for _ in range(draw(st.sampled_from([1, 1, 2]))):
        places = [place for place in _places(whole) if place]
        # Fields are odd more often than what is in them, and than all of them at once.
        depth = draw(st.sampled_from([1, *6 * [2], *3 * [3]]))
        place = draw(st.sampled_from([p for p in places if len(p) == depth] or places))
        gone = len(place) > 1 and draw(st.sampled_from([True, False, False]))
        new = draw(st.sampled_from(ODD) | st.text(max_size=30) | st.integers())
        whole = _changed(whole, place, new, gone=gone)
        what.append(f"{'.'.join(place)} {'missing' if gone else ascii(new)[:60]}")
    said = f"{kind}: {', '.join(what)}"
    return Odd(channel, kind, whole["content"], whole["metadata"], said, draw(st.booleans()))


# Outputs many times: most of what is sent are outputs.
_SENT = 6 * _all_of("iopub", OUTPUTS) + _all_of("iopub", IOPUB)
MESSAGES = _odd(_SENT + _all_of("stdin", STDIN) + _all_of("shell", SHELL))
"""What a cell sends."""
ASKED = _odd(2 * _all_of("shell", REQUESTS) + _all_of("control", CONTROLS))
"""What a front end sends."""


def made(strategy: st.SearchStrategy[Odd], count: int, number: int) -> list[Odd]:
    """The first ``count`` that the seed ``number`` gives."""
    found: list[Odd] = []

    @seed(number)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def keep(odd: Odd) -> None:
        found.append(odd)

    keep()
    return found[:count]
