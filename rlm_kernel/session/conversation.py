"""The questions that were asked in one kernel, with their answers, as later ones are told them."""

from __future__ import annotations

from dataclasses import replace

from ..events import ROOT, Event, NodeStarted
from ..record.outputs import cut
from ..rlm.facts import MOST_EXCHANGES, SHOWN_CHARS, Exchange
from .result import Result

QUESTION = (
    "`context` holds a question or a task together with what is needed for it. Find it there "
    "and answer it."
)
"""Asked where there is none."""


class Conversation:
    """Reads the events of a session's questions, and takes their results; tells them where the
    kernel is ``kept`` between two."""

    def __init__(self, *, kept: bool) -> None:
        self._kept = kept
        self._exchanges: list[Exchange] = []
        self._head = ""

    @property
    def told(self) -> list[Exchange]:
        """The newest questions, oldest first, in short."""
        return self._exchanges[-MOST_EXCHANGES:] if self._kept else []

    def continued(self) -> Conversation:
        """Return another one that begins with what this one has."""
        other = Conversation(kept=self._kept)
        other._exchanges, other._head = list(self._exchanges), self._head
        return other

    def __call__(self, event: Event) -> None:
        if isinstance(event, NodeStarted) and event.node == ROOT and event.context is not None:
            self._head = event.context.head

    def take(self, result: Result) -> Result:
        """Take a question that has ended, and return its result. One that was gone on with is
        there already."""
        asked = self._head if result.question == QUESTION else result.question
        answer = result.response if result.status == "answered" else None
        exchange = Exchange(
            question=cut(asked, SHOWN_CHARS),
            answer=f"(no answer: {result.status})" if answer is None else cut(answer, SHOWN_CHARS),
        )
        if self._exchanges and self._exchanges[-1].question == exchange.question:
            self._exchanges.pop()
        self._exchanges.append(exchange)
        return result

    def bound(self, name: str) -> None:
        """Note that the last answer is in this variable."""
        if self._exchanges:
            self._exchanges[-1] = replace(self._exchanges[-1], name=name)
