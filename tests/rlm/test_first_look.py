"""What the first message says of the context, to a strong LM and to a small one."""

from __future__ import annotations

from typing import Any

import pytest

from rlm_kernel.events import ContextInfo
from rlm_kernel.remote.guest.describe import describe
from rlm_kernel.rlm import prompts

STRONG, SMALL = prompts.STYLES["strong"], prompts.STYLES["small"]


def info(value: object, **more: Any) -> ContextInfo:
    return ContextInfo(**{**describe(value), **more}, spec={})


def strong(value: object, **more: Any) -> str:
    return prompts.describe(info(value, **more), STRONG, "How many?")


@pytest.mark.parametrize(
    ("text", "lines"),
    [("a", "1 line"), ("a\n", "1 line"), ("a\nb", "2 lines"), ("a\nb\n", "2 lines"),
     ("a\n\n", "2 lines"), ("", "0 lines"), ("a\r\nb\r\n", "2 lines")],
)  # fmt: skip
def test_a_last_line_feed_makes_no_line(text: str, lines: str) -> None:
    assert f", {lines}." in strong(text)


def test_a_long_text_begins_and_ends() -> None:
    text = "".join(f"{n}\n" for n in range(300_000))
    assert strong(text) == (
        "`context`: type str, 1,988,890 characters, 300,000 lines.\n"
        f"It begins:\n{text[:300]}\n…\nIt ends:\n{text[-150:]}"
    )


def test_notes_follow_the_notice_for_a_strong_lm_alone() -> None:
    told = info("x", notice="One.", notes=["Two.", "Three."])
    assert "Note: One. Note: Two. Note: Three." in prompts.describe(told, STRONG, "Q")
    assert "Two" not in prompts.describe(told, SMALL, "Q")


def test_a_question_without_a_context_is_told_to_have_none() -> None:
    first = prompts.first("How many?", info("How many?"), STRONG, "")
    assert first.startswith("`context`: no context was given; it holds the question.")
    assert prompts.describe(info("How many?"), SMALL, "How many?").startswith("`context`: type str")


def test_what_an_overview_tells_is_not_told_twice() -> None:
    told = strong([{"id": n} for n in range(5_000)])
    assert told.startswith("`context`: type list.\n5,000 items: dict with keys id. Characters: ")
    assert (told.count("It begins:"), told.count("It ends:"), told.count("keys id")) == (1, 1, 1)


def test_a_record_without_an_overview_is_told_as_before() -> None:
    told = strong({"a": 1}, overview="")
    assert told == (
        '`context`: type dict, 1 item, looks like dict with keys a.\nIt begins:\n{"a": 1}'
    )


SMALL_LOOKS = {
    "text": ("one\ntwo\n", "`context`: type str, 8 characters, 3 lines.\nIt begins:\none\ntwo\n"),
    "empty": ("", "`context`: type str, 0 characters, 1 lines."),
    "no line feed": ("one", "`context`: type str, 3 characters, 1 lines.\nIt begins:\none"),
    "long": (
        "word " * 1_000 + "\n",
        "`context`: type str, 5,001 characters, 2 lines.\nIt begins:\n" + ("word " * 48) + "\n…",
    ),
    "table": (
        "x,2\ny,4\nz,6\n",
        "`context`: type str, 12 characters, 4 lines, looks like CSV with 2 columns: x, 2.\n"
        "It begins:\nx,2\ny,4\nz,6\n",
    ),
    "list": (
        [{"a": 1}],
        "`context`: type list, 1 items, looks like list of dict with keys a.\n"
        'It begins:\n[{"a": 1}]',
    ),
    "dict": (
        {"a": [1]},
        '`context`: type dict, 1 items, looks like dict with keys a.\nIt begins:\n{"a": [1]}',
    ),
    "bytes": (b"PK\x03\x04", "`context`: type bytes, 4 bytes, looks like ZIP archive."
                            "\nIt begins:\nb'PK\\x03\\x04'"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL_LOOKS)
def test_a_small_lm_is_told_what_it_always_was(name: str) -> None:
    value, told = SMALL_LOOKS[name]
    assert prompts.describe(info(value), SMALL, "Q") == told


def test_a_small_lm_is_told_of_a_dataframe_what_it_always_was() -> None:
    pandas = pytest.importorskip("pandas")
    told = prompts.describe(info(pandas.DataFrame({"a": [1, 2]})), SMALL, "Q")
    assert told == (
        "`context`: type DataFrame, 2 items, looks like 1 columns: a (int64).\n"
        "It begins:\na\n1\n2\n"
    )
