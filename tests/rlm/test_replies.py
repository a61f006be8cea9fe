"""Replies that hold thoughts, and replies that a provider cut: what runs, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import ask_here, block, calls, cells, check_whole, events, of

from rlm_kernel import Result
from rlm_kernel.events import Replied
from rlm_kernel.testing import FakeEndpoint, Say, Status

LOOK = "print(context)"
DRAFT = block(f"{LOOK}\nFINAL_VAR('a draft')")
REAL = block(f"{LOOK}\nFINAL_VAR('it is real')")
Sub = Callable[[str], Any]


class Author:
    """An endpoint's author, whose turns are these, and a sub-LM beside it."""

    def __init__(self, *turns: Any, sub: Sub = lambda prompt: "fine") -> None:
        self.turns = list(turns)
        self.sub = sub
        self.told: list[list[dict[str, Any]]] = []

    def __call__(self, request: dict[str, Any]) -> Any:
        if request["model"] == "sub":
            return self.sub(request["messages"][-1]["content"])
        self.told.append(request["messages"])
        return self.turns[len(self.told) - 1] if len(self.told) <= len(self.turns) else Status(400)

    def last_told(self, turn: int) -> str:
        return str(self.told[turn - 1][-1]["content"])


def ask(author: Author, tmp_path: Path, **settings: Any) -> Result:
    usual: dict[str, Any] = {"model": "author", "sub_model": "sub", "retries": 1}
    with FakeEndpoint(author) as fake:
        return ask_here(None, tmp_path / "run", base_url=fake.base_url, **usual | settings)


def test_thoughts_are_kept_for_the_record_not_run_and_not_sent_back(tmp_path: Path) -> None:
    first = Say(
        f"<think>\nI could\n{DRAFT}\n</think>\n\nI look.\n{block(LOOK)}",
        pieces=tuple(f"<think>\nI could\n{DRAFT}\n</think>\n\nI look.\n{block(LOOK)}"),
    )
    author = Author(first, Say(REAL, reasoning="apart from the text"))
    result = ask(author, tmp_path)
    assert result.response == "it is real"
    assert len(cells(result)) == 2
    assert author.told[1][-2] == {"role": "assistant", "content": f"I look.\n{block(LOOK)}"}
    one, two = of(Replied, events(result))
    assert "a draft" in one.thoughts
    assert "a draft" not in one.text
    assert two.thoughts == "apart from the text"
    notebook = result.trajectory.read_text()
    assert "<details><summary>Thoughts" in notebook
    check_whole(result)


def test_a_reply_of_thoughts_alone_is_told_so(tmp_path: Path) -> None:
    author = Author(f"<think>\n{DRAFT}", REAL)
    assert ask(author, tmp_path).response == "it is real"
    assert "thoughts and nothing else" in author.last_told(2)
    assert author.told[1][-2]["content"] == "(nothing but thoughts)"


def test_a_small_model_is_cut_behind_its_thoughts(tmp_path: Path) -> None:
    thinking = f"<think>\n{DRAFT}\n</think>\n{REAL}\nOutput: invented " + "and so on " * 50
    author = Author("<think>judge? no</think>find", thinking)
    result = ask(author, tmp_path, prompt="small")
    assert result.response == "it is real"
    sorting, _, turn = of(Replied, events(result))
    assert (sorting.text, turn.finish, turn.text) == ("find", "cut", REAL)


VALUES = {
    "whole": "<think>\nno?\n</think>\n\nyes",
    "open": "<think>\nno?",
    "orphan": "no?\n</think>\n\nyes",
    "channel": "<|channel|>analysis<|message|>no?<|end|><|start|>assistant"
    "<|channel|>final<|message|>yes<|return|>",
    "about": "It is `<think>`, closed by </think>.",
}


def test_thoughts_of_sub_lms_are_no_part_of_a_value(tmp_path: Path) -> None:
    names = list(VALUES)
    source = (
        f"{LOOK}\none = llm_query('whole')\nmany = llm_query_batched({names})\n"
        "child = rlm_query('whole')\nFINAL_VAR([one, child, *map(str, many)])"
    )
    author = Author(block(source), sub=lambda prompt: VALUES.get(prompt, "?"))
    result = ask(author, tmp_path, max_depth=0)
    about = VALUES["about"]
    failed = "Error: 'sub' replied with thoughts and no answer"
    assert result.response == str(["yes", "yes", "yes", failed, "yes", "yes", about])
    made = calls(result)
    assert [bool(call.thoughts) for call in made] == [call.prompt != "about" for call in made]
    assert "no?" in made[0].thoughts


@pytest.mark.parametrize("tag", ["text", "json", "bash", "output"])
def test_an_answer_in_a_block_of_another_language_is_not_given(tmp_path: Path, tag: str) -> None:
    foreign = f"I expect:\n```{tag}\nthe output\nFINAL_VAR('a guess')\n```\n{block(LOOK)}"
    author = Author(foreign, REAL)
    result = ask(author, tmp_path)
    assert (result.response, len(author.told)) == ("it is real", 2)


OPEN = "I count.\n```python\nprint('half')\nside = [1]\nif side:\n    side.append("
OPEN_VALID = "I count.\n```python\nprint('half', context)"


@pytest.mark.parametrize("finish", ["length", "content_filter", "MAX_TOKENS", "SAFETY", "timeout"])
def test_a_block_that_was_cut_is_not_run_and_the_lm_is_told(tmp_path: Path, finish: str) -> None:
    author = Author(
        Say(OPEN_VALID, finish=finish),
        Say(f"{block('done = 1')}\n{OPEN}", finish=finish),
        Say(f"{block(LOOK)}\nFINAL_VAR('half')", finish=finish),
        REAL,
    )
    result = ask(author, tmp_path)
    assert result.response == "it is real"
    assert [c.source for c in cells(result)][:2] == ["done = 1", LOOK]
    for turn in (2, 3, 4):
        assert "cut off before its end" in author.last_told(turn)
        assert "held no Python block" not in author.last_told(turn)


def test_an_open_block_of_a_whole_reply_is_run(tmp_path: Path) -> None:
    author = Author(f"```python\n{LOOK}\nFINAL_VAR('it is real')")
    assert ask(author, tmp_path).response == "it is real"


@pytest.mark.parametrize("finish", ["error", "network_error"])
def test_a_reply_that_ended_in_an_error_is_a_failed_try(tmp_path: Path, finish: str) -> None:
    author = Author(Say(DRAFT, finish=finish), REAL)
    result = ask(author, tmp_path)
    assert (result.response, len(cells(result)), len(author.told)) == ("it is real", 1, 2)
    assert author.told[0] == author.told[1]


def test_a_cell_is_told_how_many_replies_of_sub_lms_were_cut(tmp_path: Path) -> None:
    def sub(prompt: str) -> Say:
        return Say(f"about {prompt}", finish="length" if prompt in "bc" else "stop")

    author = Author(block(f"{LOOK}\nr = llm_query_batched(list('abcd'))"), REAL, sub=sub)
    result = ask(author, tmp_path)
    assert "2 of 4 sub-LM replies of this cell were cut off" in author.last_told(2)
    assert [call.reply for call in sorted(calls(result), key=lambda call: call.index)] == [
        "about a", "about b", "about c", "about d",
    ]  # fmt: skip
