"""A history that no longer fits the LM's window is told in short, and stays short."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from asking import ask_here, block, events, of, script

from rlm_kernel import RLM, LMError
from rlm_kernel.events import Prompted
from rlm_kernel.rlm import history
from rlm_kernel.testing import ScriptedLM

WINDOW = 4000
HELPER = """\
def index_of(text):
    return {word: len(word) for word in text.split()}
"""
FIRST = f"The places stand on page seven.\n{block(HELPER + 'print(context)')}"


def _long(count: int) -> list[str]:
    return [block(f"page{n} = '{n % 10}' * 3000\nprint(page{n})") for n in range(count)]


def _tokens(lm: ScriptedLM) -> list[int]:
    return [history.tokens(messages) for messages in lm.asked]


def _of(messages: list[dict[str, str]]) -> str:
    return "\n".join(str(message["content"]) for message in messages)


def test_twelve_long_turns_stay_within_a_small_window_and_keep_notes_and_functions(
    tmp_path: Path,
) -> None:
    lm = script(FIRST, *_long(12), "FINAL_VAR(index_of(context))")
    result = ask_here(lm, tmp_path / "run", window=WINDOW, question="the question?")
    assert result.status == "answered"
    assert max(_tokens(lm)) < WINDOW
    last = _of(lm.asked[-1])
    for kept in ("the question?", "The places stand on page seven.", HELPER.strip(), "page3: str"):
        assert kept in last
    assert "Write the first block." in _of(lm.asked[0])
    assert "Write the first block." not in last


def test_notes_have_the_room_that_the_last_turns_leave(tmp_path: Path) -> None:
    cell = "def find{n}(x):\n    return x + {n}\nprint(context, '{n}' * 2500)"
    turns = [f"Note {n}: box {n} is empty.\n{block(cell.format(n=n))}" for n in range(12)]
    lm = script(*turns, "FINAL_VAR(find1(1))")
    ask_here(lm, tmp_path / "run", window=WINDOW)
    assert max(_tokens(lm)) < WINDOW
    last = _of(lm.asked[-1])
    assert [n for n in range(12) if f"box {n} is empty" not in last] == []
    assert [n for n in range(12) if f"def find{n}(" not in last] == []


def test_compaction_is_rare_and_one_digest_takes_the_place_of_another(tmp_path: Path) -> None:
    lm = script(FIRST, *_long(12), "FINAL_VAR(page1)")
    result = ask_here(lm, tmp_path / "run", window=2 * WINDOW)
    compacted = [prompted.turn for prompted in of(Prompted, events(result)) if prompted.compacted]
    assert compacted
    assert all(b - a > 1 for a, b in pairwise(compacted)), compacted
    firsts = [str(messages[1]["content"]) for messages in lm.asked]
    assert max(text.count("You have begun") for text in firsts) == 1
    assert max(map(len, firsts)) < len(firsts[0]) + history.DIGEST_CHARS + 200


def test_between_two_compactions_messages_only_grow(tmp_path: Path) -> None:
    lm = script(FIRST, *_long(12), "FINAL_VAR(page1)")
    result = ask_here(lm, tmp_path / "run", window=2 * WINDOW)
    compacted = {prompted.turn for prompted in of(Prompted, events(result)) if prompted.compacted}
    pairs = enumerate(pairwise(lm.asked), start=2)
    for turn, (before, after) in pairs:
        assert after[0] == before[0]
        assert turn in compacted or after[: len(before)] == before


@pytest.mark.parametrize("window", [WINDOW, 16_000])
def test_two_turns_that_alone_are_too_long_are_cut_to_the_window(
    tmp_path: Path, window: int
) -> None:
    flood = "print('x' * 66_000)\nn = {}\nprint(context)"
    lm = script(*(flood.format(n) for n in range(2)), "FINAL_VAR(n)")
    assert ask_here(lm, tmp_path / "run", window=window).status == "answered"
    assert max(_tokens(lm)) < window


def test_a_reply_that_alone_is_too_long_is_cut_in_what_is_told_of_it(tmp_path: Path) -> None:
    wordy = f"{'I think about it. ' * 900}\n{block('print(context)')}"
    lm = script(wordy, "1 + 1", "FINAL_VAR(context)")
    assert ask_here(lm, tmp_path / "run", window=WINDOW).status == "answered"
    assert max(_tokens(lm)) < WINDOW


def test_a_window_that_the_endpoint_knows_better_halves_the_history(tmp_path: Path) -> None:
    full = LMError("too long", cause="window", attempts=1)
    lm = script(FIRST, *_long(5), full, "FINAL_VAR(page1)")
    assert ask_here(lm, tmp_path / "run").status == "answered"
    assert _tokens(lm)[-1] < _tokens(lm)[-2] * 0.75


def test_a_fork_tells_what_was_told_when_it_was_compacted(tmp_path: Path) -> None:
    lm = script(FIRST, *_long(12), "FINAL_VAR(page1)")
    ask_here(lm, tmp_path / "run", window=WINDOW)
    other = script("FINAL_VAR(page2)")
    with RLM(model=other, out=tmp_path / "fork", window=WINDOW) as rlm:
        rlm.fork(tmp_path / "run", 14)
    assert other.asked[0][:-1] == lm.asked[-1][:-1]
