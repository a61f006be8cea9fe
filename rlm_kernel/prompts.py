"""Every word that we say to an LM, in two styles: ``strong`` and ``small``.

The system message and the first message are a stable prefix, so that prompt caches hit. The small
style is short (a small model reads 45 tokens a second on two cores) and its examples are varied,
because a small model copies them to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .events import ContextInfo

STRONG = """\
You answer a question about an input that may be far longer than what you can read at once. The \
input is the variable `context` in a Jupyter notebook. You are the notebook's author: you write \
Python cells, they run in a live IPython kernel, and you see their output.

Write a cell as a fenced block:
```python
...
```
Variables live on from cell to cell. The value of a cell's last expression is shown, as in any \
notebook. Long output is cut in the middle, so print what you need and no more.

What there is in the kernel:
- `context`: the input. Look at it before you plan: its type, its size, a few pieces of it.
- `llm_query(prompt, model=None) -> str`: asks a sub-LM. It sees the prompt only, so put the text \
it needs into it. It takes about {prompt_chars:,} characters.
- `llm_query_batched(prompts, model=None) -> list[str]`: many prompts at once, in order. Much \
faster than a loop. A failed prompt has a str that begins with `Error:` in its place.
- `rlm_query(prompt, context=None, model=None) -> str` and `rlm_query_batched(prompts, \
contexts=None, model=None)`: ask an LM that has a notebook of its own over its `context`; for \
sub-problems that need several steps.
- In `async` code: `await llm_query.aio(...)`. Threads may call all of these.
- `SHOW_VARS()`: the variables made so far.
- `FINAL_VAR(value)`: ends the run with the value, or with the variable you name: \
`FINAL_VAR(summary)` or `FINAL_VAR("summary")`.
{tools}
How to work: use code for what code does well (searching, counting, parsing, joining) and the \
sub-LM for what needs reading (meaning, judgement, summary). Cut the text at its own boundaries. \
Check what a sub-LM says on a few pieces before you ask about all. Before you finish, look at \
the result you are about to give. Give the final answer with FINAL_VAR in a cell, in the form \
that the question asks for."""

SMALL = """\
You write Python for a Jupyter notebook. The text to study is in the variable `context` \
(already loaded, often huge: never print all of it, never assign to it).
Reply with one short ```python block. You will see its output, then write the next block.

Functions:
llm_query_batched(list_of_prompts) -> list of str. A small LM reads each prompt. Use it to judge \
meaning (opinion, topic, mood). Each prompt must hold one piece of text and end with a question \
that has a one-word answer.
llm_query(prompt) -> str. The same for one prompt.
FINAL_VAR(x) ends the work with the answer x.
{tools}
Steps: 1. With Python, pick the pieces of `context` that matter (split, `in`, re). 2. If their \
meaning must be judged, ask about every piece with llm_query_batched; if not, compute with \
Python. 3. Count or join the replies with Python, print the result, call FINAL_VAR(result).
Replies may differ in case or carry a full stop: compare with reply.lower().startswith(...)."""

NO_CODE = (
    "Your reply held no Python block, so nothing ran. Write the next step as a block that begins "
    "with ```python and ends with ```. If you know the answer, call FINAL_VAR(answer) in one."
)
UNREADABLE = (
    "Your reply had a block that is not Python ({tag}); only Python blocks run. Write the next "
    "step as a ```python block."
)
REPEATED = (
    "This is the cell you wrote before, unchanged; it was not run again. Its output is above. "
    "Do something else: change the approach, look at a part of `context` with print, or finish "
    "with FINAL_VAR."
)
CHECK_UNSEEN = (
    "You gave the answer {answer!r}, but no cell has printed anything yet, so you have not seen "
    "what it rests on. Print the pieces it rests on and check them; then call FINAL_VAR again."
)
CHECK_UNREAD = (
    "You gave the answer {answer!r}, but no cell has looked at `context`. Find the answer in "
    "`context` with code, then call FINAL_VAR again."
)
FINISH = "If this answers the question, call FINAL_VAR with the answer now."
LAST_TURN = (
    "This is your last turn. Write one cell that calls FINAL_VAR with the best answer that the "
    "work so far supports."
)
MORE_CELLS = "Only the first {most} blocks of your reply were looked at."
NOT_RUN = "{count} later block(s) of your reply were not run."
DIED = (
    "The kernel ended during this cell: {reason}. It was started again; `context` is there, but "
    "these variables are lost: {lost}."
)
TIMEOUT = "The cell was stopped after {seconds:g} seconds of running. Do less in one cell."
FAILED_CALLS = "{failed} of {count} sub-LM calls of this cell failed: {error}"
COMPACTED = (
    "Earlier turns were left out here because they no longer fit. The kernel still holds these "
    "variables: {names}.\nWhat was done, in short:\n{digest}"
)


@dataclass(frozen=True)
class Style:
    """How we speak to an LM and how much of an output it sees."""

    name: str
    system: str
    preview_chars: int
    output_chars: int
    stop_after_block: bool
    remind: bool


STYLES = {
    "strong": Style("strong", STRONG, 600, 20_000, stop_after_block=False, remind=False),
    "small": Style("small", SMALL, 240, 1000, stop_after_block=True, remind=True),
}


def system(style: Style, *, prompt_chars: int, tools: list[dict[str, str]], data: list[str]) -> str:
    """The system message: the contract, and the user's own tools."""
    lines = [f"- `{t['name']}{t['signature']}`: {t['doc']}".rstrip(": ") for t in tools]
    lines += [f"- `{name}`: a variable that the user handed in." for name in data]
    return style.system.format(prompt_chars=prompt_chars, tools="\n".join(lines))


def describe(info: ContextInfo, style: Style) -> str:
    """What the context is: type, size and a short look, never enough to paste back as data."""
    facts = [f"type {info.type}"]
    if info.length is not None:
        unit = "characters" if info.type == "str" else "items"
        facts.append(f"{info.length:,} {'bytes' if info.type == 'bytes' else unit}")
    if info.lines is not None:
        facts.append(f"{info.lines:,} lines")
    if info.format:
        facts.append(f"looks like {info.format}")
    text = f"`context`: {', '.join(facts)}."
    if info.notice:
        text += f" Note: {info.notice}"
    head = info.head[: style.preview_chars]
    tail = info.tail[-(style.preview_chars // 2) :]
    if head:
        text += f"\nIt begins:\n{head}"
        text += "\n…" if len(head) < (info.length or 0) and info.type == "str" else ""
    if tail and style.name == "strong":
        text += f"\nIt ends:\n{tail}"
    return text


def first(question: str, info: ContextInfo, style: Style) -> str:
    """The first user message: the input's description, then the question."""
    return f"{describe(info, style)}\n\nQuestion: {question}\n\nWrite the first block."


def output(texts: list[str], notices: list[str], closing: list[str]) -> str:
    """What the cells of a turn gave, as the user's next message."""
    shown = [text if text.strip() else "(no output)" for text in texts]
    parts = [f"Output:\n{text}" for text in shown]
    parts += notices
    parts += closing
    return "\n\n".join(part for part in parts if part)


def inlined(question: str, context: str) -> str:
    """A child's question as one prompt, at the depth limit."""
    return f"{context}\n\n{question}"


def message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}
