"""From a reply to the cells in it."""

from __future__ import annotations

import time

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


LOOK = "x = 1\nif x:\n    y = 2"
INDENTED = LOOK.replace("\n", "\n     ")
OTHER_FORMS = {
    "CRLF": f"Look:\n{FENCE}python\n{LOOK}\n{FENCE}\nDone.\n".replace("\n", "\r\n"),
    "glued to the code": f"{FENCE}python\n{LOOK}{FENCE}\nDone.",
    "an end token behind it": f"{FENCE}python\n{LOOK}\n{FENCE}</s>",
    "more of them": f"{FENCE}python\n{LOOK}\n{FENCE} <|eot_id|><|im_end|>",
    "one before it": f"{FENCE}python\n{LOOK}\n<end_code>\n{FENCE}",
    "one in its place": f"{FENCE}python\n{LOOK}<end_of_turn>",
    "the end of a turn": f"{FENCE}python\n{LOOK}\n<turn|>",
    "words behind it": f"{FENCE}python\n{LOOK}\n{FENCE} sets both.",
    "in a list": f"1. Look:\n\n     {FENCE}python\n     {INDENTED}\n     {FENCE}",
    "behind a list's mark": f"-    {FENCE}python\n     {INDENTED}\n     {FENCE}",
    "behind words": f"So: {FENCE}python\n{LOOK}\n{FENCE}",
    "its code indented": f"{FENCE}python\n     {INDENTED}\n{FENCE}",
    "Gemini's tag": f"{FENCE}tool_code\n{LOOK}\n{FENCE}",
    "a version": f"{FENCE}python3.11\n{LOOK}\n{FENCE}",
    "braces": f"{FENCE}{{python}}\n{LOOK}\n{FENCE}",
    "tags": f"Thought: I look.\n<code>\n{LOOK}\n</code>",
    "a tag left open": f"<code>\n{LOOK}\n",
    "other tags": f"<execute>\n{LOOK}\n</execute></s>",
    "a fence in tags": f"<code>\n{FENCE}py\n{LOOK}\n{FENCE}\n</code>",
}


@pytest.mark.parametrize("reply", OTHER_FORMS.values(), ids=list(OTHER_FORMS))
def test_a_block_is_read_as_it_was_meant(reply: str) -> None:
    assert cells.sources(reply) == [LOOK]


@pytest.mark.parametrize(
    ("reply", "cell"),
    [
        (f"{LOOK}\nFINAL_VAR(x)", f"{LOOK}\nFINAL_VAR(x)"),
        (f"So I look:\n\n{LOOK}\n\nFINAL_VAR(x)\n", f"{LOOK}\nFINAL_VAR(x)"),
        (f"[PYTHON]\n{LOOK}\nFINAL_VAR(x)\n[/PYTHON]", f"{LOOK}\nFINAL_VAR(x)"),
        (f"<|python_tag|>{LOOK}\nFINAL_VAR(x)<|eom_id|>", f"{LOOK}\nFINAL_VAR(x)"),
        (f"{LOOK}\nThat gives it.\nFINAL_VAR(x)", "FINAL_VAR(x)"),
        ("Done\nAnswer: x\nFINAL_VAR(x)", "FINAL_VAR(x)"),
        (f"{FENCE}text\n{LOOK}\n{FENCE}\nFINAL_VAR(x)", "FINAL_VAR(x)"),
    ],
)
def test_a_bare_call_of_the_end_takes_the_code_right_above_it(reply: str, cell: str) -> None:
    assert cells.sources(reply) == [cell]


def test_tabs_indent_a_block_too() -> None:
    assert cells.sources(f"\t{FENCE}py\n\tif x:\n\t\ty = 2\n\t{FENCE}") == ["if x:\n\ty = 2"]


def test_blocks_whose_ends_are_glued_to_the_code_are_told_apart() -> None:
    foreign = f"{FENCE}json\n{{}}{FENCE}"
    reply = f"{FENCE}python\nx = 1{FENCE}\nThen:\n{foreign}\n{FENCE}py\ny = 2{FENCE}"
    assert cells.sources(reply) == ["x = 1", "y = 2"]


def test_a_block_that_was_not_closed_ends_where_another_one_begins() -> None:
    reply = f"{FENCE}py\nx = 1\n{FENCE}python\ny = 2\n{FENCE}"
    assert cells.sources(reply) == ["x = 1", "y = 2"]


def test_a_fence_in_a_comment_does_not_end_the_cell() -> None:
    source = f"# begins with {FENCE}\nx = 1"
    assert cells.sources(f"{FENCE}python\n{source}\n{FENCE}") == [source]


@pytest.mark.parametrize("text", ["1. look\n2. count", "FINAL_VAR(x)", "x = 99", "14 hits"])
def test_beside_a_tagged_block_untagged_ones_are_text(text: str) -> None:
    untagged, tagged = f"{FENCE}\n{text}\n{FENCE}", f"{FENCE}python\nx = 1\n{FENCE}"
    assert cells.sources(f"{untagged}\n{tagged}\nI expect\n{untagged}") == ["x = 1"]
    assert cells.sources(f"<code>\ny = 2\n</code>\n{tagged}") == ["x = 1"]
    assert cells.sources(f"<code>\nx = 1\n</code>\n{untagged}") == ["x = 1"]


@pytest.mark.parametrize(
    "reply",
    [
        f"Begin it with {FENCE}python\nand end it so.",
        "<code>context</code> is a str.",
        "<code>\nif x print\n</code>",
        f"> {FENCE}python\n> x = 1\n> {FENCE}",
        "FINAL(42)",
    ],
)
def test_what_is_only_talked_about_is_no_cell(reply: str) -> None:
    assert cells.sources(reply) == []


def test_empty_blocks_are_left_out() -> None:
    assert cells.sources(f"{FENCE}python\n\n{FENCE}") == []


def test_an_answer_written_outside_of_a_block_is_a_last_cell() -> None:
    assert cells.sources(f"{FENCE}py\nx = 1\n{FENCE}\nFINAL_VAR(x)") == ["x = 1", "FINAL_VAR(x)"]
    assert cells.sources("It is\r\nFINAL_VAR(x)</s>") == ["FINAL_VAR(x)"]
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
    "</s>", "<code>", "</code>", "- ", "tool_code\n",
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
        inside = "".join(reply[block.start : block.end].split())
        assert "".join(block.source.split()) in inside  # but for indentation and ends of lines
        position = block.end


def test_a_flood_of_broken_blocks_is_read_in_bounded_work() -> None:
    assert len(cells.blocks(f"{FENCE}python\nif (\n{FENCE}\n" * 2000)) == 2000


@pytest.mark.parametrize(
    "piece",
    [
        f"{FENCE}python\nif (\n{FENCE}\n",
        f"{FENCE}python\nx = (1,\n{FENCE} words\n# a{FENCE}\n",
        f"word{FENCE}python\n",
        f"{FENCE} ",
        "<code>\n",
        f"<code>\n{FENCE}\n",
        f"'''\n{FENCE}\n",
        " ",
        "- ",
        "<|im_end|>",
        f"{FENCE}....",
    ],
)
def test_a_long_reply_of_any_kind_is_read_in_bounded_time(piece: str) -> None:
    began = time.process_time()
    cells.sources(f"{FENCE}python\n" + piece * (20_000 // len(piece)) + "`")
    assert time.process_time() - began < 5
