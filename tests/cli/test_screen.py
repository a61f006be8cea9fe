"""The lines that a run writes to a terminal or a log."""

from __future__ import annotations

import io

from rich.console import Console

from rlm_kernel.cli.screen import Screen
from rlm_kernel.events import CallStarted


def test_the_size_of_a_map_is_told_when_it_starts() -> None:
    shown = io.StringIO()
    screen = Screen(Console(file=shown))
    screen(CallStarted("0", 1, "llm_query_batched", 3))
    screen(CallStarted("0", 1, "llm_map", 3, "3 rows: 3 sub-calls of about 90 tokens together"))
    assert shown.getvalue() == "  3 rows: 3 sub-calls of about 90 tokens together\n"
