"""Suspicious answers: what a search gives that found nothing, and what stood there already.

A confident wrong answer is worse than none. Such an answer is asked for once more, and one that
stays is given as unconfirmed: it may be right (no line may match), but nobody can know by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..answers import Answer
from ..events import ContextInfo
from ..repl.running_cell import Ran

LEAST_CONTEXT = 200
"""Characters of a context from which on all of it is no answer."""
LEAST_WORDS = 4
"""Words of the question, one after another, that are no answer."""
SHORT = 200
"""An answer with more characters says more than that nothing was found."""
_EMPTY = ("0", "0.0", "-0.0", "[]", "{}", "[[]]", "null")
_MISSED = re.compile(r"\.(?:find|rfind|index)\(")
_NOTHING = re.compile(
    r"(?i)\W*(?:the )?(?:answer |information |name |value |it )?(?:is |was )?(?:"
    r"(?:none|null|nan|n/a|unknown|nothing)(?: (?:was )?found)?"
    r"|(?:not (?:found|available|mentioned|specified|given|present)"
    r"|(?:i )?(?:could ?n.t|could not|cannot|can.t|did not|unable to|failed to) (?:be )?"
    r"(?:find|found|determine|determined|locate|located)"
    r"|(?:there (?:is|are|was|were) )?no (?:answer|match|matches|results?|data|information|such|"
    r"records?|entries|entry|mention|evidence)"
    r"|no \w+(?: \w+)? (?:was |were )?found"
    r")\b(?: (?:found|in|for|of|about|the|that|any|was|were|is)\b.{0,120})?"
    r")\W*\Z",
    re.DOTALL,
)
_OFFERS = re.compile(r"(?i)\b(?:or|between|among|either|if|reply|respond|label|say|otherwise)\b")
"""Words of a question that may hold its answer."""
_QUOTED = re.compile(r"[\"“'‘`]([^\"“”'‘’`]{2,})[\"”'’`]")


class Suspicion:
    """Knows the question and the context of a node, and finds answers that they make suspicious."""

    def __init__(self, question: str, info: ContextInfo) -> None:
        self._question = _plain(question)
        self._quoted = {_plain(text) for text in _QUOTED.findall(question)}
        self._is_choice = _OFFERS.search(question) is not None
        self._info = info
        self._alone = info.type == "str" and (info.head, info.tail) == (question, "")

    def of(self, ran: Ran, sources: Sequence[str]) -> str | None:
        """Return what is suspicious about a cell's answer, as the end of a sentence; None where
        nothing is. An answer with evidence that stands in the context is none such."""
        answer = ran.answer
        if answer is None or any(one.supported for one in answer.evidence):
            return None
        return self._nothing(answer, ran, sources) or self._given_already(answer, ran)

    def _nothing(self, answer: Answer, ran: Ran, sources: Sequence[str]) -> str | None:
        text = answer.text.strip()
        if ran.wanted is not None and answer.value in ("null", "{}"):
            return None  # a form says what they are
        if answer.value in _EMPTY or text in _EMPTY:
            return f"{text or 'nothing'}, which a search gives that matched nothing"
        if answer.type.startswith("float") and answer.value == "null":
            return "not a number, which sums over nothing give"
        if text == "-1" and any(map(_MISSED.search, sources)):
            return "-1, which a search gives that matched nothing"
        if len(text) <= SHORT and _NOTHING.match(text):
            return "that nothing was found"
        return None

    def _given_already(self, answer: Answer, ran: Ran) -> str | None:
        text = _plain(answer.text)
        if self._is_question(text):
            return "the question's own words"
        if self._alone or not text:
            return None
        if ran.named == "context" or self._is_context(answer):
            return "the whole context"
        lines = [line for line in map(_plain, answer.text.splitlines()) if line]
        shown = {_plain(line) for line in (self._info.head + self._info.tail).splitlines()}
        part = self._info.type == "str" and (self._info.length or 0) > len(self._info.head)
        if part and len(lines) > 1 and shown.issuperset(lines):
            return "lines that the context begins or ends with"
        return None

    def _is_question(self, text: str) -> bool:
        """Return whether it is the question or a part of it that offers no choice."""
        if text and text == self._question:
            return True
        if self._is_choice or not text:
            return False
        part = len(text.split()) >= LEAST_WORDS and text in self._question
        return part or text in self._quoted

    def _is_context(self, answer: Answer) -> bool:
        info = self._info
        if info.type != "str" or (info.length or 0) <= LEAST_CONTEXT:
            return False
        same = len(answer.text) == info.length and answer.text.startswith(info.head)
        return same and answer.text.endswith(info.tail)


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .?!:\"'“”‘’`")
