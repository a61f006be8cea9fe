"""The end of a run, as a console and a notebook show what ``completion`` returned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rlm_kernel import Result
from rlm_kernel.events import Usage

USAGE = Usage(requests=3, input_tokens=1_200, output_tokens=34, cost=0.03)
ANSWERED = Result("There are **3**:\n- a\n- b", "answered", True, None, USAGE, Path("runs/t.ipynb"))


def test_an_answer_reads_as_it_is_written() -> None:
    head, *answer = repr(ANSWERED).split("\n")
    assert head == "Result: answered · 1,234 tokens · $0.0300 · runs/t.ipynb"
    assert answer == ["There are **3**:", "- a", "- b"]
    assert ANSWERED._repr_markdown_().endswith("runs/t.ipynb</code>\n\nThere are **3**:\n- a\n- b")


def test_an_answer_can_do_nothing_where_it_is_shown() -> None:
    hostile = replace(ANSWERED, response="\x1b[2Jgone <img src=x onerror=act()>")
    assert "\x1b" not in repr(hostile)
    assert "<img" not in hostile._repr_markdown_()


def test_a_run_without_a_confirmed_answer_says_why() -> None:
    limit = "turns: spent 3, allowed 3"
    result = replace(ANSWERED, status="limit", confirmed=False, reason=limit, response="perhaps 3")
    assert repr(result).split("\n")[1:] == [limit, "perhaps 3"]
    assert "limit · unconfirmed" in repr(result)
    assert repr(replace(result, response=None)).endswith(limit)
