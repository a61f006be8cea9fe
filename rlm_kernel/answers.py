"""Answers, and how events tell of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A quote of the context that an answer rests on. It is ``supported`` where it stands there, as
    the kernel has checked and the host after it, and else only asserted. (Of bytes, tables and
    pickles the kernel's check is the only one.)

    ``start`` and ``end`` are characters and ``line`` counts from 1, all of the part that ``where``
    names: a file, ``[3].title``, or nothing for a text. They are those of its first place, None
    where it has none.
    """

    quote: str
    supported: bool
    where: str = ""
    start: int | None = None
    end: int | None = None
    line: int | None = None

    @property
    def state(self) -> str:
        return "supported" if self.supported else "asserted"


@dataclass(frozen=True)
class Answer:
    """A value given as an answer: its ``text``, the name of its Python ``type``, and its ``value``
    as JSON text (``remote.guest.answers.answer`` has the table).

    ``value`` is None where there is none to give, as for one that is not of the wanted form; of an
    object that JSON has no form for it is the text. ``file`` is the path in the run's folder of
    what belongs to it: a figure's picture, the whole of a table that ``value`` has the head of.
    ``evidence`` are the quotes that it was given with.
    """

    text: str
    type: str
    value: str | None
    file: str | None = None
    evidence: tuple[Evidence, ...] = ()

    @classmethod
    def of_text(cls, text: str) -> Answer:
        """Return the answer that is a text."""
        return cls(text=text, type="str", value=json.dumps(text, ensure_ascii=False))

    @property
    def json(self) -> Any:
        """Return the value as plain JSON data; None where there is none."""
        return None if self.value is None else json.loads(self.value)


def answer_fields(answer: Answer | None) -> dict[str, Any]:
    """Return the fields in which events have an answer."""
    if answer is None:
        return {"answer": None}
    return {
        "answer": answer.text,
        "value": answer.value,
        "type": answer.type,
        "file": answer.file,
        "evidence": list(answer.evidence),
    }


class Tells(Protocol):
    """An event that may have an answer: the end of a cell, of a node, of a run."""

    @property
    def answer(self) -> str | None: ...

    @property
    def value(self) -> str | None: ...

    @property
    def type(self) -> str | None: ...

    @property
    def file(self) -> str | None: ...

    @property
    def evidence(self) -> list[Evidence]: ...


def answer_of(event: Tells) -> Answer | None:
    """Return the answer that an event tells of, if it does; in older records each is a text."""
    if event.answer is None:
        return None
    if event.type is None:
        return Answer.of_text(event.answer)
    return Answer(
        text=event.answer,
        type=event.type,
        value=event.value,
        file=event.file,
        evidence=tuple(event.evidence),
    )
