"""Every word that we say to an LM, in two styles: ``strong`` and ``small``.

The system message and the first message are a stable prefix, so that prompt caches hit. The small
style is short (a small model reads 45 tokens a second on two cores) and its examples are varied,
because a small model copies them to the letter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import LimitReached
from ..events import ContextInfo
from ..lm import cells
from ..record.numbers import counted
from .first_look import look, short_look
from .small_prompts import ASK_ANSWER, ASK_QUERY, OPENING, SMALL_COUNT, SMALL_JUDGE, SMALL_READ

MAX_NAMES = 30
"""The most variables that an LM is told of, the newest."""

STRONG = """\
You answer a question about an input that may be far longer than what you can read at once. The \
input is the variable `context` in a Jupyter notebook. You are the notebook's author: you write \
Python cells, they run in a live IPython kernel, and you see their output.

Write a cell as a fenced block; a reply may have several, which run in order until one fails:
```python
...
```
Variables live on: keep findings in them, since old turns are shortened. The value of a cell's \
last expression is shown, as in any notebook. Output over {output_chars:,} characters is cut in \
the middle. {figures} Top-level `await` works, `input` does not.

What there is in the kernel:
- `context`: the input. Look at it before you plan: its type, its size, a few pieces of it.
- `llm_query(prompt, schema=None, images=None) -> str`: asks a sub-LM. It sees the prompt only, so \
put the text it needs into it. It takes about {prompt_chars:,} characters. With a `schema` (a type \
or JSON Schema) it returns a checked value.
- `llm_query_batched(prompts, schema=None, images=None) -> list[str]`: many prompts at once, in \
order. Much faster than a loop. Put many short pieces into one prompt: calls are limited. A failed \
prompt has a str that begins with `Error:` in its place.
- `llm_map(items, question, labels=None, type=None, by=None, examples=None, votes=1, since=None)`: \
one question about each item of a list, or of `context` cut `by="line"` and the like; gives a \
table: `.values`, `.counts()`, `.failed`, `.df`, `.check()` (its error).
- `llm_find(items, question, top=10, by=None)`: a table of the items that bear on it most. \
`llm_reduce(texts, question)`: one text written out of many.
- `rlm_query(prompt, context=None, max_turns=None)` and `rlm_query_batched(prompts, contexts=None, \
max_turns=None)`: ask an LM that has a notebook of its own over its `context`; for sub-problems \
that need several steps. Each is as dear as you are. A reply is the value that it gave, with \
`.status`, `.turns` and `.notebook`.
- In `async` code: `await llm_query.aio(...)`. Threads may call all of these.
- `rows(value)`: a table, JSON, log or folder as a list of dicts; `.guess` says how it was read.
- `find(value, words, around=80, case=False)`: places with line, offsets, text; `.missing` words.
- `SHOW_VARS()`: the variables made so far. `limits_left()`: what you may still use.
- `ask_human(question)`: asks the human, if one is there, as a last resort.
- `FINAL_VAR(value, evidence=None, doubt=None)`: ends the run with the value as it is (text, list, \
table), once its cell ended well: `FINAL_VAR(summary)`, `FINAL_VAR("Paris")`. `evidence`: exact \
quotes of `context` that it rests on, or places from `find`; `doubt`: why it may be wrong.
- `answer["content"] = x`: a draft, given out if a limit ends the run.
{tools}
How to work: use code for what code does well (searching, counting, parsing, joining) and the \
sub-LM for what needs reading (meaning, judgement, summary). Cut the text at its own boundaries. \
Check what a sub-LM says on a few pieces before you ask about all. Before you finish, look at \
the result you are about to give. Give it in the form that the question asks for."""

FIGURES = "Figures are for the human only."
FIGURES_SEEN = "Figures and images are shown to you."
MODELS = "- Each query takes `model`: {sub!r} is the sub-LM, {root!r} you."
NO_QUERY = (
    "Nothing ran. Write one SQLite query in a block that begins with ```sql and ends with ```."
)
NO_CODE = (
    "Your reply held no Python block, so nothing ran. Write the next step as a block that begins "
    "with ```python and ends with ```. If you know the answer, call FINAL_VAR(answer) in one."
)
THOUGHTS_ALONE = (
    "Your reply held thoughts and nothing else. They are not run. Think less, and write the next "
    "step behind your thoughts, as a block that begins with ```python and ends with ```."
)
ONLY_THOUGHT = "(nothing but thoughts)"
"""Stands for a reply without a text in the history, since endpoints refuse empty messages."""
CUT_REPLY = (
    "Your reply was cut off before its end (finish reason {finish!r}). A block that was not "
    "finished was not run. Write less in one reply: a short block now, the rest in later turns."
)
REPEATED = (
    "This is the cell you wrote before, unchanged; it was not run again. Its output is above. "
    "Do something else: change the approach, look at a part of `context` with print, or finish "
    "with FINAL_VAR."
)
FORM = "The answer's form: FINAL_VAR takes a value of this one only, {said}."
MISFIT = (
    "The answer was not taken: it is not of the form that is wanted, {said}: {wrong}. Call "
    "FINAL_VAR again with a value that is."
)
CHECK_UNSEEN = (
    "You gave the answer {answer!r}, but no cell has printed anything yet, so you have not seen "
    "what it rests on. Print the pieces it rests on and check them; then call FINAL_VAR again."
)
CHECK_UNREAD = (
    "You gave the answer {answer!r}, but no cell has looked at `context`. Find the answer in "
    "`context` with code, then call FINAL_VAR again."
)
CHECK_TOO_SOON = (
    "You gave the answer {answer!r} in the same reply as the cells whose output is above, so you "
    "wrote it before you had seen that. Read the output; then call FINAL_VAR again."
)
NO_ANSWER = "{why} Call FINAL_VAR with the answer; the same call again gives it as it is."
SUSPECT = (
    "You gave the answer {answer!r}. It {why}. Look once more at how `context` is written and how "
    "you searched it (spelling, case, the form of its parts); then call FINAL_VAR with what you "
    "find. The same call again gives it as it is."
)
UNQUOTED = (
    "These quotes do not stand in `context`: {quotes}. Copy them from it (`find` gives places), or "
    "leave them out; then call FINAL_VAR again. The same call again gives the answer as it is."
)
NOT_THERE = (
    'FINAL_VAR("{word}") gives the word itself: there is no variable of this name. A cell of yours '
    "that would have made one was not run, or its kernel has ended. Make it again and give it, or, "
    "if you mean the word, make the same call again."
)
WHICH = (
    'FINAL_VAR("{name}") gives the variable `{name}`, {why}: {answer!r}. If you mean that, make '
    'the same call again; if you mean the word: FINAL_VAR(value="{name}").'
)
UNFINISHED = (
    "FINAL_VAR was called, but its cell failed afterwards: the answer {answer!r} is kept, and not "
    "taken. Call FINAL_VAR again, in a cell that ends well."
)
RAN_AGAIN = (
    "This is the cell you wrote before, unchanged; it was run again. If that gave nothing new, do "
    "something else, or finish with FINAL_VAR."
)
FIRST_BLOCK = "Write the first block."
LAST_TURN = (
    "This is your last turn. Write one cell that calls FINAL_VAR with the best answer that the "
    "work so far supports."
)
LIMIT_REACHED = "{limit}. No call is served any more, and the run ends after your next reply."
MORE_CELLS = "Only the first {most} blocks of your reply were looked at."
NOT_RUN = "{count} later block(s) of your reply were not run."
HUMAN = "The human says: {note}"
EDITED = (
    "The human stopped you here and ran this cell in place of yours; its output is the last one "
    "above:\n```python\n{source}\n```"
)
CHANGED = (
    "Before your cell ran the human changed it. This is what ran; its output is the last one above:"
    "\n```python\n{source}\n```"
)
REJECTED = "The human did not let your {cell} run."
OVERRULED = "The human did not take {answer!r} as the answer: go on."
TOUCHED = (
    "In the notebook the human has changed your cell of turn {turn}, and has not run it. It reads "
    "now:\n```python\n{source}\n```"
)
STOPPED = "The human stopped you here."
LIMITED = "Your run was ended here by a limit ({reason}), not by the human, who lets you go on."
BY_HAND = "The human stopped you here and has run these cells in the kernel since:"
SINCE = "The human has run these cells in the kernel since:"
KERNEL_IS_NEW = "The kernel was started again since: the variables that you made are gone."
GO_ON = "Go on from here."
DIED = (
    "The kernel ended during this cell: {reason}. It was started again; `context` is there, but "
    "these variables are lost: {lost}."
)
WENT_BACK = (
    "The kernel ended during this cell: {reason}. It is back to where it was before {undone}: all "
    "that happened in it since is undone, all variables from before are there{lost}."
)
TIMEOUT = "The cell was stopped after {seconds:g} seconds of running. Do less in one cell."
LATE = "The cell was stopped: the time of the run is nearly over."
NONE_LEFT = "{count}, no sub-calls left: go on without them, or finish with what there is"
FEW_LEFT = "{count}, {left} left: put several pieces into one prompt"
FAILED_CALLS = "{failed} of {count} sub-LM calls of this cell failed: {error}"
CUT_CALLS = (
    "{cut} of {count} sub-LM replies of this cell were cut off before their end, at the greatest "
    "length or by a filter: what they gave is not whole. Ask for less in one prompt."
)
COMPACTED = (
    "Earlier turns were left out here because they no longer fit. The kernel still holds these "
    "variables: {names}.\nWhat was done, in short:\n{digest}"
)
EARLIER = (
    "You have begun; earlier turns stand here in short, since they no longer fit. The kernel holds "
    "what they made: print it again where you need it."
)
NAMES = "Variables: {names}."
FUNCTIONS = "Functions that you defined:\n```python\n{text}\n```"
NOTES = "Your notes:\n{text}"
STEPS = "What was done:\n{text}"


@dataclass(frozen=True)
class Style:
    """A way to speak to an LM, and how much of an output it sees.

    ``system`` is by kind of question; where there is more than one kind the LM is first asked to
    sort the question (``sorting``). ``look`` closes the first message. Where there is an
    ``opening``, it is the first turn, in place of a reply, ``ask`` follows its output, and replies
    are read as those of a small LM (``small_replies``). ``cut`` says where one that goes on is cut.
    """

    name: str
    system: dict[str, str]
    look: str
    ask: dict[str, str]
    preview_chars: int
    output_chars: int
    remind: bool
    opening: str = ""
    cut: Callable[[str], int | None] | None = None


STYLES = {
    "strong": Style(
        "strong",
        system={"": STRONG},
        look=FIRST_BLOCK,
        ask={},
        preview_chars=600,
        output_chars=20_000,
        remind=False,
    ),
    "small": Style(
        "small",
        system={"count": SMALL_COUNT, "read": SMALL_READ, "judge": SMALL_JUDGE},
        look="",
        ask={"count": ASK_QUERY, "read": ASK_ANSWER, "judge": ASK_QUERY},
        preview_chars=240,
        output_chars=4000,
        remind=True,
        opening=OPENING,
        cut=cells.end_of_first_block,
    ),
}


def system(
    style: Style,
    kind: str,
    *,
    prompt_chars: int,
    output_chars: int,
    tools: list[dict[str, str]],
    data: list[str],
    models: Sequence[str] = (),
    sees: bool = False,
) -> str:
    """Return the system message: the contract, the user's own tools, and the ``models`` that may be
    asked for by name, the sub-LM first, where there is a choice. ``sees`` says that the LM is shown
    pictures."""
    lines = [f"- `{t['name']}{t['signature']}`: {t['doc']}".rstrip(": ") for t in tools]
    lines += [f"- `{name}`: a variable that the user handed in." for name in data]
    if len(models) > 1:
        lines.append(MODELS.format(sub=models[0], root=models[1]))
    text = style.system[kind].format(
        prompt_chars=prompt_chars,
        output_chars=output_chars,
        figures=FIGURES_SEEN if sees else FIGURES,
        tools="\n".join(lines),
    )
    return text.strip()


def describe(info: ContextInfo, style: Style, question: str) -> str:
    """Describe the context: type, size and a short look, never enough to paste back as data."""
    if style.name == "small":
        return short_look(info, style.preview_chars)
    return look(info, question)


def first(
    question: str,
    info: ContextInfo,
    style: Style,
    kind: str,
    *,
    there: str = "",
    means: str = "",
) -> str:
    """Return the first user message: the input's description, what is ``there`` of earlier
    questions, the ``means`` that the LM has, then the question."""
    parts = [
        describe(info, style, question),
        there,
        means,
        f"Question: {question}",
        style.look,
    ]
    return "\n\n".join(filter(None, parts))


def names_there(names: Sequence[str]) -> str:
    """Return what an LM is told of the variables that earlier cells made."""
    shown = ", ".join(names[-MAX_NAMES:])
    return f"Variables that are there already: {shown}." if names else ""


def output(
    texts: list[str], notices: list[str], closing: list[str], took: Sequence[str] = ()
) -> str:
    """Return what the cells of a turn gave, and what each ``took`` where that is told, as the text
    of the user's next message."""
    shown = [text if text.strip() else "(no output)" for text in texts]
    heads = [f"Output ({time})" if time else "Output" for time in took] or ["Output"] * len(texts)
    parts = [f"{head}:\n{text}" for head, text in zip(heads, shown, strict=True)]
    parts += notices
    parts += closing
    return "\n\n".join(part for part in parts if part)


def calls_left(wanted: int, left: int) -> str:
    """Return the error of a call for which too few sub-calls are left."""
    words = FEW_LEFT if left else NONE_LEFT
    return words.format(count=counted(wanted, "prompt"), left=counted(left, "sub-call"))


def last_turn(over: LimitReached, style: Style) -> str:
    """Return what the LM is told before its last turn."""
    if over.limit in ("turns", "equal_replies") or style.name != "strong":
        return LAST_TURN
    return f"{LIMIT_REACHED.format(limit=sentence(str(over)))} {LAST_TURN}"


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def inlined(question: str, context: str) -> str:
    """Return a child's question and context as one prompt, for use at the depth limit."""
    return f"{context}\n\n{question}"


def message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def with_words(message: dict[str, Any], words: str) -> dict[str, Any]:
    """Return a message with a paragraph more."""
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": f"{content}\n\n{words}"}
    return {**message, "content": [*content, {"type": "text", "text": words}]}
