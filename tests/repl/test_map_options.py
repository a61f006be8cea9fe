"""What a map asks, out of a guest that may write anything."""

from __future__ import annotations

from typing import Any

import pytest

from rlm_kernel.repl.map_options import options_of

HEADER: dict[str, Any] = {
    "question": "Spam?",
    "schema": {"type": "string"},
    "examples": [["buy", "spam"]],
    "votes": 3,
    "rows": [0, 4],
    "ahead": [7, 700],
    "spans": [["a.txt", 0, 3], ["[1]", None, None]],
    "since": "20260131-120000",
}


def test_what_our_guest_writes_is_taken() -> None:
    options = options_of(HEADER, 2)
    assert options is not None
    assert (options.examples, options.votes, options.ahead) == ([("buy", "spam")], 3, (7, 700))
    assert options.place(0) == {"row": 0, "span": ["a.txt", 0, 3]}
    assert set(options.written) == {"question", "schema", "examples", "votes", "since"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"question": None},
        {"schema": "string"},
        {"schema": {"enum": ["x" * 600_000]}},
        {"examples": None},
        {"examples": [["buy"]]},
        {"examples": [[1, "spam"]]},
        {"examples": [["buy", "spam"]] * 51},
        {"votes": 0},
        {"votes": 10},
        {"votes": "3"},
        {"rows": [0]},
        {"rows": [0, -1]},
        {"rows": [0, True]},
        {"ahead": [1]},
        {"spans": [["a.txt", 0, 3]]},
        {"spans": [["a.txt", 0, 3], [1, 0, 3]]},
        {"spans": [["a.txt", 0, 3], ["x", "0", 3]]},
        {"spans": [["a.txt", 0, 3], ["x" * 1001, 0, 3]]},
        {"since": ""},
        {"since": ".."},
        {"since": "../other"},
        {"since": "x" * 300},
    ],
)
def test_what_it_does_not_write_is_no_map(wrong: dict[str, Any]) -> None:
    assert options_of(HEADER | wrong, 2) is None
