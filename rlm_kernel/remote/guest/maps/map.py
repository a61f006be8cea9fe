"""A map on its way: what is asked about which items, in how many calls, and its table."""

import copy
import json
from typing import Any, Optional

from ..errors import CallRefused, from_host
from ..forms.typed_replies import Misfit, WantedForm
from ..wire import LONGEST_NAME
from .items import Cut, text_of
from .map_table import MapRow, MapTable

MOST_VOTES = 9
MOST_EXAMPLES = 50
PART_CHARS = 8 << 20
"""The characters of items in one call."""
WORDS_CHARS = 1000
MARKS_CHARS = 60
"""Room for the words around an item, and around an example."""
LONGEST_PLACE = 1000
"""Characters of the name of the part that an item is in."""


def around(asked: "dict[str, Any]") -> int:
    """Return how much longer a prompt is than its item, at most, by what is asked about all."""
    return len(json.dumps(asked)) + WORDS_CHARS + MARKS_CHARS * len(asked.get("examples", ()))


class Map:
    """One question about each of many items, checked: ``parts`` are the calls to make, each of
    whose answers is given to ``take``, and ``table`` is what comes of them.

    Raises ``TypeError`` and ``ValueError`` for what cannot be asked.
    """

    def __init__(
        self,
        question: str,
        labels: Any = None,
        type: Any = None,
        examples: Any = None,
        votes: int = 1,
        since: Any = None,
    ) -> None:
        if not isinstance(question, str) or not question.strip():
            raise TypeError("llm_map(items, question): the question must be a str, and not empty")
        if votes.__class__ is not int or not 1 <= votes <= MOST_VOTES:
            raise ValueError("llm_map: votes=%r: give a number from 1 to %d" % (votes, MOST_VOTES))
        self.form = _form(labels, type)
        self.schema = None if self.form is None else self.form.own
        self._asked: dict = {"question": question, "votes": votes, "schema": self.schema}
        self._asked["examples"] = [*_examples(examples, self.form)]
        if since is not None:
            self._asked["since"] = _run_name(since)
        self.around = around(self._asked)
        self._answered = self._stopped = False

    def over(self, found: Cut, *, spans: bool = False) -> "Map":
        """Take the items that it is about. ``spans`` says that they are cut out of the input
        itself, so that the record is told their places."""
        self._texts = [item.text for item in found.items]
        self._spans = spans
        rows = [
            MapRow(i, item.value, why=item.wrong, where=item.where, start=item.start, end=item.end)
            for i, item in enumerate(found.items)
        ]
        self.table = MapTable(self._asked["question"], rows, found.said)
        return self

    def text(self, row: MapRow) -> str:
        """Return what the sub-LM is shown of a row's item."""
        return str(self._texts[row.index])

    def again(self, rows: "list[MapRow]") -> "Map":
        """Return the map that asks the same about some of its rows, once each and anew."""
        made = copy.copy(self)
        made._asked = {name: value for name, value in self._asked.items() if name != "since"}
        made._asked["votes"] = 1
        made._answered = made._stopped = False
        bare = [
            MapRow(row.index, row.item, where=row.where, start=row.start, end=row.end)
            for row in rows
        ]
        made.table = MapTable(self.table.question, bare, self.table.said)
        return made

    def parts(self, prompt_chars: int, batch: int) -> Any:
        """Yield the fields of each call, of so many prompts at most. An item that is longer than a
        prompt may be has a row that says so."""
        room = prompt_chars - self.around
        if room <= 0:
            raise CallRefused(
                "llm_map: the question and its examples have %s characters, a prompt takes %s at "
                "most" % (format(self.around, ","), format(prompt_chars, ","))
            )
        waiting = [row for row in self.table.rows if self._is_asked(row, room)]
        ahead = [len(waiting), sum(len(self._texts[row.index]) for row in waiting)]
        for part in _in_parts(waiting, self._texts, batch):
            texts = [self._texts[row.index] for row in part]
            ahead = [ahead[0] - len(part), ahead[1] - sum(map(len, texts))]
            fields = dict(self._asked, prompts=texts, ahead=ahead, rows=[r.index for r in part])
            if self._spans:
                fields["spans"] = [[row.where[:LONGEST_PLACE], row.start, row.end] for row in part]
            self._part = part
            yield fields
            if self._stopped:
                return

    def _is_asked(self, row: MapRow, room: int) -> bool:
        size = len(self._texts[row.index])
        if row.why:
            return False
        if not self._texts[row.index].strip():
            row.state = "empty"
        elif size > room:
            row.why = "too long: %s characters, %s are the most" % (
                format(size, ","),
                format(room, ","),
            )
        return row.state == "failed" and not row.why

    def take(self, answer: dict) -> None:
        """Take the answer to the last part. Raises the error of a call that was refused as a whole,
        unless earlier ones were answered: the rest of the rows failed for it then."""
        error = answer.get("error")
        if error is None:
            self._answered = True
            for row, slot in zip(self._part, answer["value"]):
                self._fill(row, slot)
            return
        if not self._answered:
            raise from_host(error)
        self._stopped = True
        for row in self.table.rows:
            if row.state == "failed" and not row.why:
                row.why = error["message"]

    def _fill(self, row: MapRow, slot: dict) -> None:
        error, about = slot.get("error"), slot.get("about") or {}
        if error:
            row.why, row.attempts = error["message"], error.get("attempts", 0)
            return
        row.attempts, row.votes = about.get("attempts", 1), about.get("votes")
        row.since = about.get("since", "")
        try:
            row.value = slot["value"] if self.form is None else self.form.taken(slot["value"])
            row.state = "tied" if about.get("tied") else "ok"
        except Misfit as misfit:
            row.why = "the reply does not fit: %s" % misfit


def _in_parts(rows: "list[MapRow]", texts: "list[str]", batch: int) -> Any:
    """Yield the rows of each call."""
    part: list = []
    chars = 0
    for row in rows:
        size = len(texts[row.index])
        if part and (len(part) >= batch or chars + size > PART_CHARS):
            yield part
            part, chars = [], 0
        part.append(row)
        chars += size
    if part:
        yield part


def _run_name(since: Any) -> str:
    name = since.rstrip("/").rpartition("/")[2] if isinstance(since, str) else ""
    if name in ("", ".", "..") or set("\\\0") & set(name) or len(name) > LONGEST_NAME:
        raise ValueError("llm_map: since=%r: give the name of an earlier run's folder" % (since,))
    return name


def _form(labels: Any, type: Any) -> "Optional[WantedForm]":
    if labels is None:
        return None if type is None else WantedForm(type)
    if type is not None:
        raise TypeError("llm_map: give labels or a type, not both")
    names = [labels] if isinstance(labels, str) else list(labels)
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise TypeError("llm_map: labels are a list of str, none of them empty")
    if len(names) < 2 or len({*names}) < len(names):
        raise ValueError("llm_map: labels: give two or more, each once")
    return WantedForm({"type": "string", "enum": names})


def _examples(examples: Any, form: "Optional[WantedForm]") -> Any:
    """Yield each example as the text of its item and its value."""
    pairs = list(examples.items() if isinstance(examples, dict) else examples or [])
    if len(pairs) > MOST_EXAMPLES:
        raise ValueError("llm_map: %d examples, %d are the most" % (len(pairs), MOST_EXAMPLES))
    for at, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError("llm_map: examples are pairs of an item and its value")
        value = json.loads(text_of(pair[1])) if not isinstance(pair[1], str) else pair[1]
        if form is None and not isinstance(value, str):
            raise TypeError("llm_map: the value of example %d must be a str" % at)
        if form is not None:
            try:
                form.taken(value)
            except Misfit as misfit:
                raise ValueError("llm_map: example %d does not fit: %s" % (at, misfit)) from None
        yield [text_of(pair[0]), value]
