"""The rules that make outputs alike, on texts of any size."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.record.equality import RULES, digest

RUNS = {
    "kernel_paths_replaced": (r"[^\s'\"]*ipykernel_\d+[/\\]\d+\.py", "ipykernel.py"),
    "library_paths_replaced": (
        r"[^\s'\"\x1b]*/python3\.?\d*(?:/(?:site|dist)-packages)?/",
        "…/",
    ),
    "temporary_names_replaced": (r"[^\s'\"]*/tmp[a-z0-9_]{8}\b", "/tmp…"),
    "loop_times_replaced": (
        r"[\d.]+ [mµun]?s ± [\d.]+ [mµun]?s per loop \([^)]*\)",
        "… per loop",
    ),
    "overwritten_dropped": (r"[^\n]*\r(?=[^\r\n])", ""),
}
"""Patterns that begin with a run of anything, as they are without a look behind them."""
PARTS = (
    *(" ", "'", "\x1b[0m", "\n", "\r", "a", "7", ".", "/", "é"),
    *("ipykernel_4711/12.py", "/python3.11/", "/python3/site-packages/", "/tmpab12_x9z", "tmp"),
    "1.5 ms ± 3 µs per loop (mean)",
)


@pytest.mark.parametrize("rule", RUNS)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=30))
def test_a_look_behind_changes_no_match(rule: str, parts: list[str]) -> None:
    pattern, by = RUNS[rule]
    text = "".join(parts)
    [made] = RULES[rule].apply([{"stream": "stdout", "text": text}])
    assert made["text"] == re.sub(pattern, by, text)


SIGNS = "tmp python3 ipykernel_ "


@pytest.mark.parametrize(
    "text",
    ["x" * 1_000_000, "7" * 1_000_000 + " per loop ", "x" * 1_000_000 + "\n\ry"],
    ids=["letters", "digits", "a line before an overwritten one"],
)
@pytest.mark.timeout(30)
def test_a_long_run_takes_no_longer_than_its_length(text: str) -> None:
    picture = {"output_type": "display_data", "data": {"image/png": text}, "metadata": {}}
    stream = {"output_type": "stream", "name": "stdout", "text": text}
    for words in ("", SIGNS):
        picture["data"] = {"image/png": words + text}
        digest([picture, {**stream, "text": words + text}])
