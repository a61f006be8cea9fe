"""A node's messages: they only grow, so that prompt caches hit, until they must be compacted.

Then the question stays, the last turns stay, and what lay between becomes one digest behind the
question. The next time it is written anew from all that was said, so that it does not grow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..lm import cells
from ..lm.chat import size
from ..lm.model import Message, text_of
from ..record.outputs import cut
from . import prompts
from .facts import name_of
from .run import CHARS_PER_TOKEN

KEPT_TURNS = 2
TARGET = 0.5
"""What a compacted history fills of the window: it is to be rare."""
DIGEST_CHARS = 6000
STEP_CHARS = 200
"""The most of a cell, and of its output, in the digest."""


@dataclass(frozen=True)
class Opening:
    """The messages that a node's LM is told first, where that is not its question alone, and the
    kind of question that they are about."""

    messages: list[Message]
    kind: str


def tokens(messages: list[Message]) -> int:
    """Estimate the tokens of the messages; endpoints count in their own ways."""
    return int(size(messages) / CHARS_PER_TOKEN)


def compacted(
    said: list[Message], variables: list[str], window: int, *, most: int
) -> list[Message]:
    """Return the history for a window of so many tokens: the system message, the question with a
    digest, and as many of the last turns as fit, ``most`` of them at most.

    ``said`` is all that was said, which is long. A last turn that alone is too long is cut.
    ``variables`` are those that there are now, with their types and sizes.
    """
    turns = _turns(said)
    room = int(window * TARGET * CHARS_PER_TOKEN)
    room = max(room - size(said[:2]), room // 2)
    share = min(DIGEST_CHARS, room // 3)
    kept = _fitting(turns, room - len(_digest(turns[:-1], variables, share)), most)
    spare = min(DIGEST_CHARS, room - sum(map(size, kept))) - share
    digest = _digest(turns[: len(turns) - len(kept)], variables, share, max(spare, 0))
    question = text_of(said[1]).removesuffix(f"\n\n{prompts.FIRST_BLOCK}")
    first = prompts.message("user", f"{question}\n\n{digest}")
    return [said[0], first, *(message for turn in kept for message in turn)]


def _turns(said: Sequence[Message]) -> list[list[Message]]:
    """Return each reply with what follows it, but for the system message and the question."""
    turns: list[list[Message]] = []
    for message in said[2:]:
        if message["role"] == "assistant" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def _fitting(turns: list[list[Message]], room: int, most: int) -> list[list[Message]]:
    """Return the last turns that fit; one at least, cut if need be."""
    kept: list[list[Message]] = []
    for turn in reversed(turns[-most:]):
        if size(turn) > room:
            break
        kept.insert(0, turn)
        room -= size(turn)
    return kept or [[_cut(message, room // len(turns[-1])) for message in turns[-1]]]


def _cut(message: Message, most: int) -> Message:
    """Return a message with so much of its text, and without its pictures."""
    return {**message, "content": cut(text_of(message), max(most, 0))}


def _digest(turns: list[list[Message]], variables: list[str], room: int, spare: int = 0) -> str:
    """Return earlier turns in short: the variables that there are, the LM's functions, its notes,
    then what it did. ``spare`` is more room, for functions and notes that need it."""
    replies = [text_of(m) for turn in turns for m in turn if m["role"] == "assistant"]
    functions = "\n\n".join(_functions(replies, {name_of(shown) for shown in variables}))
    notes = "\n".join(filter(None, map(_prose, replies)))
    parts = [prompts.EARLIER, prompts.NAMES.format(names="; ".join(variables) or "none")]
    parts = [cut(part, room // 4) for part in parts]
    for text, words in ((functions, prompts.FUNCTIONS), (notes, prompts.NOTES)):
        left = room + spare - sum(map(len, parts))
        if text:
            parts.append(words.format(text=cut(text, left // 2)))
    steps = "\n".join(step for turn in turns for step in _steps(turn))
    left = room - sum(map(len, parts)) - len(prompts.STEPS)
    parts.append(prompts.STEPS.format(text=cut(steps, max(left, STEP_CHARS))))
    return "\n\n".join(parts)


def _steps(turn: list[Message]) -> Iterator[str]:
    for message in turn:
        text = text_of(message).strip()
        if message["role"] != "assistant":
            yield f"output: {cut(text.removeprefix('Output:').strip(), STEP_CHARS)}"
            continue
        for source in cells.sources(text):
            yield f"cell: {cut(source.strip(), STEP_CHARS)}"


def _prose(reply: str) -> str:
    """Return what an LM wrote around its cells."""
    lines = (line.strip() for line in cells.prose(reply).splitlines())
    return "\n".join(filter(None, lines))


def _functions(replies: Sequence[str], there: set[str]) -> list[str]:
    """Return the sources of the functions and classes that the replies' cells define and that are
    there still, each as it was defined last."""
    found: dict[str, str] = {}
    for reply in replies:
        for source in cells.sources(reply):
            try:
                tree = ast.parse(source)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue  # it did not run, or has IPython's own words
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    found[node.name] = ast.get_source_segment(source, node) or ""
    return [source for name, source in found.items() if name in there]


def shortened(said: list[Message], names: list[str]) -> list[Message]:
    """Return the history for a small LM: system and first message, a digest of the middle, and the
    last turns as they were; unchanged when there is nothing between."""
    turns = [i for i, m in enumerate(said) if m["role"] == "assistant"]
    if len(turns) <= KEPT_TURNS:
        return said
    split = turns[-KEPT_TURNS]
    lines = [
        ("cell: " if m["role"] == "assistant" else "output: ") + cut(text_of(m).strip(), 400)
        for m in said[2:split]
    ]
    digest = cut("\n".join(lines), DIGEST_CHARS)
    text = prompts.COMPACTED.format(names=", ".join(names) or "none", digest=digest)
    first = prompts.message("user", f"{text_of(said[1])}\n\n{text}")
    return [said[0], first, *said[split:]]
