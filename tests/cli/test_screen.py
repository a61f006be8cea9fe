"""The lines that a run writes to a terminal or a log."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import cast

import pytest
from rich.console import Console
from stories import started

from rlm_kernel.cli.screen import Screen
from rlm_kernel.context_info import ContextInfo
from rlm_kernel.events import CallStarted, Prompted, Replied, ReplyDelta, Usage


def test_the_size_of_a_map_is_told_when_it_starts() -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown))
    screen(CallStarted("0", 1, "llm_query_batched", 3))
    screen(CallStarted("0", 1, "llm_map", 3, "3 rows: 3 sub-calls of about 90 tokens together"))
    assert shown.getvalue() == "  3 rows: 3 sub-calls of about 90 tokens together\n"


def _replied(text: str) -> Replied:
    return Replied(
        node="0",
        turn=1,
        text=text,
        model="m",
        finish="stop",
        usage=Usage(requests=1, unpriced=1),
        seconds=0.1,
        time=0.0,
    )


def test_what_the_lm_says_around_its_code_is_shown() -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown))
    screen(_replied("First a look.\n```python\nprint(1)\n```\nThen more."))
    screen(_replied("```python\nprint(2)\n```"))
    assert shown.getvalue() == "[0] First a look.\n\nThen more.\n"


def test_no_live_line_is_wider_than_the_terminal() -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown, force_terminal=True, width=40, color_system=None))
    with screen.showing():
        screen(ReplyDelta("0", 1, "```python\n" + "x = 1 + " * 20))
        screen(_replied("```python\nprint(1)\n```"))
        screen(CallStarted("0", 1, "llm_map", 3, "3 rows"))
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "\n", shown.getvalue()).split("\n")
    assert any(line.startswith("⏵ turn 1: writing") for line in lines)
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize(
    ("turn", "said"), [(0, "reading the question"), (2, "turn 2: waiting for the LM")]
)
def test_the_live_line_says_when_the_lm_is_waited_for(turn: int, said: str) -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown, force_terminal=True, width=120, color_system=None))
    with screen.showing():
        screen(Prompted("0", turn, [], 0.0))
    assert f"⏵ {said} · " in shown.getvalue()


def test_what_is_to_be_known_of_how_the_context_was_read_is_told_once() -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown))
    context = replace(cast(ContextInfo, started("0").context), notice="It is not valid JSON.")
    screen(started("0", context=context))
    screen(started("0.1", context=context))
    assert shown.getvalue().count("It is not valid JSON.") == 1
