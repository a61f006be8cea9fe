"""From a reply to the cells in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.lm import cells

FENCE = "```"


@pytest.mark.parametrize("tag", ["", "python", "Python", "py", "repl", "ipython", "python3"])
def test_a_fence_of_a_python_kind_is_a_cell(tag: str) -> None:
    assert cells.sources(f"First:\n{FENCE}{tag}\nx = 1\n{FENCE}\nDone.") == ["x = 1"]


@pytest.mark.parametrize("tag", ["bash", "json", "text", "javascript", "output"])
def test_a_fence_of_another_kind_is_not(tag: str) -> None:
    assert cells.sources(f"{FENCE}{tag}\nx = 1\n{FENCE}") == []


def test_blocks_come_in_order() -> None:
    reply = "\n".join(f"text\n{FENCE}python\nx = {i}\n{FENCE}" for i in range(5))
    assert cells.sources(reply) == [f"x = {i}" for i in range(5)]


def test_tildes_and_longer_fences_count() -> None:
    assert cells.sources("~~~python\na = 1\n~~~\n````py\nb = 2\n````") == ["a = 1", "b = 2"]


def test_an_unclosed_fence_runs_to_the_end() -> None:
    [block] = cells.blocks(f"{FENCE}python\nx = 1\ny = 2")
    assert (block.source, block.closed) == ("x = 1\ny = 2", False)


def test_a_fence_inside_a_string_does_not_end_the_cell() -> None:
    source = f'text = """\n{FENCE}\ninner\n{FENCE}\n"""\nprint(text)'
    assert cells.sources(f"{FENCE}python\n{source}\n{FENCE}\nafter") == [source]


def test_a_cell_that_does_not_parse_ends_at_its_first_fence() -> None:
    reply = f"{FENCE}python\nif x print\n{FENCE}\nwords\n{FENCE}python\ny = 1\n{FENCE}"
    assert cells.sources(reply) == ["if x print", "y = 1"]


def test_empty_blocks_are_left_out() -> None:
    assert cells.sources(f"{FENCE}python\n\n{FENCE}") == []


def test_an_answer_written_outside_of_a_block_is_a_last_cell() -> None:
    assert cells.sources(f"{FENCE}py\nx = 1\n{FENCE}\nFINAL_VAR(x)") == ["x = 1", "FINAL_VAR(x)"]
    assert cells.sources("It is FINAL_VAR(x) that I mean.") == []


def test_prose_is_what_is_not_code() -> None:
    assert cells.prose(f"One.\n{FENCE}python\nx\n{FENCE}\nTwo.") == "One.\n\nTwo."


def test_reading_stops_after_a_closed_block_that_is_followed_by_more() -> None:
    reply = f"Now:\n{FENCE}python\nx = 1\n{FENCE}"
    assert cells.end_of_first_block(reply) is None
    assert cells.end_of_first_block(f"{reply}\nOutput: 1") == len(reply)
    assert cells.end_of_first_block(f"Now:\n{FENCE}python\nx = 1\n") is None


def test_a_name_is_mentioned_as_a_word_only() -> None:
    assert cells.mentions("len(context)", "context")
    assert not cells.mentions("my_context = contexts", "context")


pieces = st.sampled_from([
    "```", "````", "~~~", "python", "py\n", "\n", " ", "x = 1", '"""', "'", "(", "FINAL_VAR(", ")",
    "\r\n", "\ud800", "\0", "def f():", "    ", "\\", "#", "é", "\u2028", "bash",
])  # fmt: skip


@given(st.one_of(st.text(), st.lists(pieces, max_size=60).map("".join)))
def test_finding_sources_never_crashes(reply: str) -> None:
    found = cells.sources(reply)
    assert all(isinstance(source, str) and source.strip() for source in found)
    cells.prose(reply)
    end = cells.end_of_first_block(reply)
    assert end is None or 0 < end < len(reply)


@given(st.lists(pieces, max_size=60).map("".join))
def test_blocks_stand_in_the_reply_and_do_not_overlap(reply: str) -> None:
    position = 0
    for block in cells.blocks(reply):
        assert position <= block.start < block.end <= len(reply)
        assert block.source in reply[block.start : block.end]
        position = block.end


def test_a_flood_of_broken_blocks_is_read_in_bounded_work() -> None:
    assert len(cells.blocks(f"{FENCE}python\nif (\n{FENCE}\n" * 2000)) == 2000
