"""The guide's pages as lines."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rlm_kernel import guide
from rlm_kernel.cli.guide_page import Page, filled
from rlm_kernel.settings.values import OPTIONS


def _drawn(markdown: str, width: int) -> str:
    shown = io.StringIO()
    Console(file=shown, width=width).print(Page(markdown, hyperlinks=False))
    return shown.getvalue()


@pytest.mark.parametrize("width", [40, 80])
def test_no_name_of_a_setting_is_cut(width: int) -> None:
    shown = _drawn(guide.text("settings"), width)
    names = {name for option in OPTIONS.values() for name in (option.variable, f"--{option.flag}")}
    told = {name for name in names if name in guide.text("settings")}
    assert {name for name in told if not re.search(rf"{name}\b", shown)} == set()


def test_a_table_that_fits_but_for_one_column_wraps_that_one() -> None:
    shown = _drawn("| name | meaning |\n| --- | --- |\n| `a_long_name` | " + "word " * 12 + "|", 50)
    assert " a_long_name  word word" in shown
    assert max(map(len, shown.splitlines())) <= 50


@pytest.mark.parametrize("topic", ["settings", "notebook", "format"])
def test_a_page_in_lines_is_the_same_page(topic: str) -> None:
    page = guide.text(topic)
    assert _drawn(filled(page, 80), 80) == _drawn(page, 80)


def test_lines_begin_nothing_that_the_text_did_not_begin() -> None:
    assert filled("- some words - and more # of 1. them", 14) == (
        "- some words -\n  and more #\n  of 1. them"
    )
