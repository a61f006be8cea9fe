"""A node's messages: they only grow, so that prompt caches hit, until they must be compacted."""

from __future__ import annotations

from dataclasses import dataclass

from ..lm.chat import size
from ..lm.model import Message, text_of
from ..record.outputs import cut
from . import prompts

CHARS_PER_TOKEN = 3.5
KEPT_TURNS = 2


@dataclass(frozen=True)
class Opening:
    """The messages that a node's LM is told first, where that is not its question alone, and the
    kind of question that they are about."""

    messages: list[Message]
    kind: str


def tokens(messages: list[Message]) -> int:
    """Estimate the tokens of the messages; endpoints count in their own ways."""
    return int(size(messages) / CHARS_PER_TOKEN)


def compacted(messages: list[Message], names: list[str]) -> list[Message]:
    """Return the system and first message, a digest of the middle, and the last turns as they were.

    A turn is an assistant's message and what follows it. Returns the messages unchanged when
    there is nothing between.
    """
    turns = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    if len(turns) <= KEPT_TURNS:
        return messages
    split = turns[-KEPT_TURNS]
    middle = messages[2:split]
    lines = [
        ("cell: " if m["role"] == "assistant" else "output: ") + cut(text_of(m).strip(), 400)
        for m in middle
    ]
    text = prompts.COMPACTED.format(
        names=", ".join(names) or "none", digest=cut("\n".join(lines), 6000)
    )
    first = prompts.message("user", f"{messages[1]['content']}\n\n{text}")
    return [messages[0], first, *messages[split:]]
