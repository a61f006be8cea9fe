"""The LM as the loop sees it: behind any endpoint, and as a model in a role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ..events import Usage
from .attempts import Meter, Reply, Sampling

Message = dict[str, Any]
"""``role`` and ``content``, which is a text, or a list of its parts where it has pictures."""


def image_part(mime: str, base64: str) -> dict[str, Any]:
    """Return the part of a message's content that is a picture."""
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{base64}"}}


def seen(text: str, images: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return the content of a message: a text, and the parts that are pictures, if there are."""
    return [{"type": "text", "text": text}, *images] if images else text


def text_of(message: Message) -> str:
    """Return the text of a message, without its pictures."""
    content = message["content"]
    return content if isinstance(content, str) else "\n\n".join(_texts(content))


def _texts(parts: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for part in parts if part["type"] == "text"]


class LM(Protocol):
    """Replies to messages; ``lm.Client`` and ``testing.ScriptedLM`` are two. Raises ``LMError``,
    and ``LimitReached`` from the meter."""

    async def stream(
        self,
        model: str,
        messages: list[Message],
        meter: Meter,
        *,
        sampling: Sampling,
        on_delta: Callable[[str], None],
        on_restart: Callable[[], None],
        cut: Callable[[str], int | None] | None,
    ) -> Reply: ...

    async def complete(
        self, model: str, messages: list[Message], meter: Meter, *, sampling: Sampling
    ) -> Reply: ...


@dataclass(frozen=True)
class Model:
    """An LM in a role: where it is, its name there, how it is sampled, its window in tokens, how
    many prompts one batch may bring it, and whether it is known what a request costs. ``price`` is
    the US dollars of what a model of this name uses there, None where that is not known.
    ``chooses`` says that it takes a grammar, by which its reply is one of several labels; the
    sub-LM's choices are left to it."""

    client: LM
    name: str
    sampling: Sampling
    window: int
    max_batch: int = 10_000
    priced: bool = True
    chooses: bool = False
    price: Callable[[str, Usage], float | None] = lambda model, usage: None
