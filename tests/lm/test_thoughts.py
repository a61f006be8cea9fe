"""What of a reply is thought, and what is said."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlm_kernel.lm import cells, thoughts

F = "```"
DRAFT = f"{F}python\nFINAL_VAR('a draft')\n{F}"
REAL = f"{F}python\nFINAL_VAR('real')\n{F}"
OPEN_DRAFT = f"{F}python\nx = 1"


def _harmony(channel: str, text: str, end: str = "<|end|>") -> str:
    return f"<|start|>assistant<|channel|>{channel}<|message|>{text}{end}"


THINKING = {
    "whole": f"<think>\nI could\n{DRAFT}\nno.\n</think>\n\n{REAL}",
    "on one line": f"<think>hm</think>{REAL}",
    "capitals": f"<THINK>\n{DRAFT}\n</Think>\n{REAL}",
    "attributes": f'<think time="3" effort=high>\n{DRAFT}\n</think>\n{REAL}',
    "white space before": f"\n \ufeff<think>\n{DRAFT}\n</think>\n{REAL}",
    "thinking": f"<thinking>\n{DRAFT}\n</thinking>\n{REAL}",
    "thought": f"<thought>\n{DRAFT}\n</thought>\n{REAL}",
    "reasoning": f"<reasoning>\n{DRAFT}\n</reasoning>\n{REAL}",
    "a name space": f"<seed:think>\n{DRAFT}\n</seed:think>\n{REAL}",
    "brackets": f"[THINK]\n{DRAFT}\n[/THINK]\n{REAL}",
    "triangles": f"◁think▷\n{DRAFT}\n◁/think▷\n{REAL}",
    "an inner part": f"<|inner_prefix|>\n{DRAFT}\n<|inner_suffix|>\n{REAL}",
    "a channel of one mark": f"<|channel>thought\n{DRAFT}\n<channel|>{REAL}",
    "its channel opened in the template": f"{DRAFT}\n<channel|>{REAL}",
    "a fence on its line": f"<think>{DRAFT}</think>\n{REAL}",
    "a fence behind words on its line": f"<think>so {DRAFT}</think>\n\n{REAL}",
    "special tokens": f"<|START_THINKING|>\n{DRAFT}\n<|END_THINKING|>\n{REAL}",
    "several": f"<think>\n{DRAFT}\n</think>\n<think>{DRAFT}\n</think>\n{REAL}",
    "a block right behind its mark": f"<think>{DRAFT}</think>\n{REAL}",
    "a block behind words there": f"<reasoning>So {DRAFT}</reasoning>{REAL}",
    "two of those": f"<think>{DRAFT}</think>\n<think>{DRAFT}</think>\n{REAL}",
    "Gemma's channel": f"<|channel>thought\n{DRAFT}\n<channel|>{REAL}",
    "Gemma's, opened in the template": f"I could\n{DRAFT}\n<channel|>{REAL}",
    "in the middle": f"I look.\n<think>\n{DRAFT}\n</think>\n{REAL}",
    "at the end": f"{REAL}\n<think>\n{DRAFT}\n</think>",
    "at the end, never closed": f"{REAL}\n<think>\n{DRAFT}",
    "one in the other": f"<think>\na\n<think>\n{DRAFT}\n</think>\n{DRAFT}\n</think>\n{REAL}",
    "another kind in it": f"<thinking>a<thought>b</thought>\n{DRAFT}\n</thinking>\n{REAL}",
    "an open fence in it": f"<think>\n{OPEN_DRAFT}\n</think>\n\n{REAL}",
    "an open fence of text in it": f"<think>\n{F}text\nplan\n</think>\n\n{REAL}",
    "its mark in code": f"<think>\n{F}py\nx = '</think>'\n{F}\n{DRAFT}\n</think>\n{REAL}",
    "its mark in words": f"<think>\nafter `</think>` I say\n{DRAFT}\n</think>\n{REAL}",
    "opened in the template": f"I could\n{DRAFT}\nno.\n</think>\n\n{REAL}",
    "opened there, ends a line": f"I could\n{DRAFT}\nno.</think>\n{REAL}",
    "opened there, in a line": f"I could\n{DRAFT}\nno. </think> So:\n{REAL}",
    "opened there, talked of": f"tags like <think>\n{DRAFT}\n</think>\n{REAL}",
    "opened there, an open fence": f"So\n{OPEN_DRAFT}\n</think>\n\n{REAL}",
    "opened there, in brackets": f"So\n{DRAFT}\n[/THINK]\n{REAL}",
    "empty": f"<think></think>\n\n{REAL}",
    "empty in itself": f"<think/>\n{REAL}",
    "channels": f"<|channel|>analysis<|message|>\n{DRAFT}\n<|end|>"
    + _harmony("final", REAL, "<|return|>"),
    "channels with a tool": _harmony("analysis", DRAFT)
    + _harmony("commentary to=functions.py <|constrain|>json", "{}", "<|call|>")
    + _harmony("final", REAL, ""),
    "channels without an end": f"<|channel|>analysis<|message|>{DRAFT}\n"
    + _harmony("final", f"\n{REAL}", ""),
    "channels whose marks were taken out": f"analysisWe could\n{DRAFT}\nassistantfinal{REAL}",
}


@pytest.mark.parametrize("reply", THINKING.values(), ids=list(THINKING))
def test_code_in_a_thought_is_no_cell(reply: str) -> None:
    said = thoughts.split(reply)
    assert cells.sources(said.text) == ["FINAL_VAR('real')"]
    assert "think" not in said.text.lower()
    assert "draft" not in said.text


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>\n{DRAFT}",
        f"<think>{DRAFT}",
        f"[THINK]\n{DRAFT}\n",
        f"<|channel|>analysis<|message|>\n{DRAFT}",
        f"{DRAFT}\n</think>",
        f"<think>\n{DRAFT}\nthe tag `</think>` is next",
    ],
)
def test_a_reply_of_thoughts_alone_says_nothing(reply: str) -> None:
    said = thoughts.split(reply)
    assert said.text.strip() == ""
    assert "a draft" in said.thoughts


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("<think>\nlong\n</think>\n\nyes", "yes"),
        ("<think>long</think> yes", "yes"),
        ("<think>long</think>yes", "yes"),
        ("long\n</think>\n\nyes", "yes"),
        ("long</think>yes", "yes"),
        ("<think>a</think>\n    indented\n", "    indented\n"),
        ("one\n<think>a</think>\ntwo", "one\ntwo"),
        (_harmony("analysis", "long") + _harmony("final", "yes", "<|return|>"), "yes"),
    ],
)
def test_what_is_said_is_left(reply: str, text: str) -> None:
    said = thoughts.split(reply)
    assert said.text == text
    assert said.thoughts


INTACT = [
    "yes\n",
    "  <b>bold</b>",
    "The tags <think> and </think> hold what a model thinks.",
    "A thought begins with <think> and ends with </think>.",
    "It is closed by `</think>`, as in `<think>a</think>`.",
    'It is closed by "</think>" there.',
    "- <think>: opens\n- </think>: closes",
    "`<think>` opens it",
    f"{F}html\n<think>\nhm\n</think>\n{F}\nis how it looks",
    f"{F}html\n</think>\n{F}",
    f"{F}python\ntext = '''\n<think>\nhm\n</think>\n'''\nprint('<think>')\n{F}",
    f"{F}python\nprint('</think>')\n{F}",
    f"I take thoughts away:\n{F}python\nx = re.sub(r'(?s)<think>.*?</think>', '', context)\n{F}",
    f"{F}python\nx = '[THINK]'\ny = '<|channel|>analysis<|message|>'\nz = '[/THINK]'\n{F}",
    f"~~~\n<reasoning>\n~~~\n{REAL}",
    "[Reasoning](#below) says so.",
    "<thinker>not one</thinker>",
    "<analysis>is no thought</analysis>",
    "analysis: it is good",
    "It ends in <|return|>",
]


@pytest.mark.parametrize("reply", INTACT)
def test_a_mark_that_is_only_talked_about_is_left(reply: str) -> None:
    assert thoughts.split(reply) == thoughts.Said(reply, "")


def test_a_stream_is_not_cut_in_a_thought() -> None:
    reply = f"<think>\n{DRAFT}\nno\n</think>{REAL}\nOutput: real"
    for end in range(len(reply)):
        cut = cells.end_of_first_block(thoughts.masked(reply[:end]))
        assert cut is None or reply[:cut].endswith(REAL)
    assert cells.end_of_first_block(thoughts.masked(reply)) == reply.index("\nOutput")


pieces = st.sampled_from([
    "<think>", "</think>", "<THOUGHT a='b'>", "[THINK]", "[/THINK]", "\n", " ", "x", "`", "```",
    "python\n", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|end|>",
    "<|start|>assistant", "</thinking>", "analysis", "assistantfinal", '"""',
])  # fmt: skip


@given(st.lists(pieces, max_size=40).map("".join))
def test_splitting_loses_nothing_and_is_done_once(reply: str) -> None:
    said = thoughts.split(reply)
    assert len(thoughts.masked(reply)) == len(reply)
    assert len(said.text) <= len(reply)
    if not said.thoughts:
        assert said.text == reply


@pytest.mark.parametrize(
    "piece",
    ["<think>a</think>b\n", "<think>", "</think>", "x </think> ", "<|channel|>analysis<|message|>a",
     f"<think>\n{F}python\nif (\n{F}\n</think>\n", f"{F}python\nif (</think>\n{F}\n"],
)  # fmt: skip
def test_a_flood_of_marks_is_read_in_bounded_work(piece: str) -> None:
    began = time.process_time()
    thoughts.split(piece * (60_000 // len(piece)))
    assert time.process_time() - began < 10
