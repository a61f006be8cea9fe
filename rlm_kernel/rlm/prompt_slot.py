"""One prompt of a call on its way to an answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..lm.model import image_part
from ..remote.guest.maps.checks import ASK
from ..repl.frames import Payload
from ..repl.protocol import Call, Image, Slot
from .run import CallMeter


@dataclass(frozen=True)
class PromptSlot:
    """One prompt of a call, or the call of a tool: where it stands in the record. ``earlier`` is
    what a run before this one was answered, if that is the answer."""

    call: Call
    number: int
    key: str
    occurrence: int
    index: int
    earlier: Slot | None = None

    @property
    def prompt(self) -> str:
        """The prompt, or what the human is shown; of any other tool its name."""
        if self.call.prompts:
            return self.call.prompts[self.index]
        question = self.call.arguments.get("kwargs", {}).get("question")
        asked = self.call.tool in ("ask_human", ASK) and isinstance(question, str)
        return str(question) if asked else self.call.tool

    @property
    def row(self) -> int:
        """The number that the cell knows it by: its row of a map, else its index in the call."""
        options = self.call.options
        return self.index if options is None else options.rows[self.index]

    @property
    def place(self) -> dict[str, Any]:
        """The place of a map's item, or the loop that asked a prompt ahead, for the record."""
        if self.call.ahead:
            return {"ahead": self.call.ahead}
        options = self.call.options
        return {} if options is None else options.place(self.index)

    @property
    def options(self) -> dict[str, Any]:
        """The question of a map and all beside it, for the record of a call's first item."""
        options = self.call.options
        return {} if options is None or self.index else options.written

    @property
    def images(self) -> list[Image]:
        return self.call.images.get(self.index, [])

    @property
    def context(self) -> tuple[str, Payload]:
        """The context of a child, by kind and bytes."""
        return self.call.contexts[self.index]


@dataclass
class Asked:
    """The facts about a prompt's answer, as they become known."""

    meter: CallMeter
    model: str | None = None
    child: str | None = None
    finish: str | None = None
    thoughts: str = ""
    images: list[dict[str, Any]] = field(default_factory=list)


def as_parts(images: Sequence[Image]) -> list[dict[str, Any]]:
    """Return pictures as parts of a message. Blocks."""
    return [image_part(i.mime, b64encode(i.data.read()).decode("ascii")) for i in images]
