"""``t.check()``: a random sample of a map's rows, confirmed or corrected by a human or a model."""

import dataclasses
import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Callable

from ..errors import CallRefused
from ..forms.typed_replies import Misfit
from ..pieces import counted, cut_pieces
from . import checked
from .checked import (
    HUMAN,
    KIND,
    LARGEST,
    MOST,
    MOST_LABELS,
    QUESTION_CHARS,
    Checked,
    shown,
)
from .labels import labels, spelled
from .map import MOST_EXAMPLES, Map
from .map_table import MapRow, MapTable, has_value, key_of

ASK = "MapTable.check"
TELL = "MapTable.checked"
"""The names by which the host knows a row for the human, and what a check found. No tool's is like
them."""
NOBODY = "check: no human is there to judge rows: name a model that does, as in t.check(by='MODEL')"
ITEM_CHARS = 4000
VALUE_CHARS = 1000
CHOICES_CHARS = 1500
EXAMPLE_CHARS = 2000
TRIES = 5
"""Replies to one row that are no value; then it is skipped."""
SKIP, STOP = "/skip", "/stop"
_ROW = (
    "Check row %d, %d of %d: %s\n%s\nThe map says: %s\nPress Enter if that is right; else type %s."
)
_WAYS = " %s passes over the row, %s ends the check." % (SKIP, STOP)
_FORMS = {
    "boolean": "yes or no",
    "integer": "the right whole number",
    "number": "the right number",
}
_VALUES = 12
_SHOWN = 5
_SKIPPED, _STOPPED = object(), object()


@dataclass(frozen=True)
class Correction:
    """A row whose value was found wrong: its ``index`` in the table, its ``item``, the value that
    was ``given`` and the ``right`` one."""

    index: int
    item: Any
    given: Any
    right: Any

    def __repr__(self) -> str:
        item, right, given = (cut_pieces(v, 70)[0] for v in (self.item, self.right, self.given))
        return "<row %d: %s -> %s, not %s>" % (self.index, item, right, given)


@dataclass(frozen=True, repr=False)
class Check(Checked):
    """The figures of a check, and its ``corrections``; ``examples`` are the same as ``llm_map``
    takes them, without those of long items."""

    corrections: "list[Correction]" = field(default_factory=list)
    examples: "list[list[Any]]" = field(default_factory=list)

    def __repr__(self) -> str:
        lines = [self.line]
        for value in self.often[:_VALUES]:
            told = self.shares[value], self.counts[value], format(self.given[value], ",")
            lines.append("%s: %s of the rows, %s; the map said %s" % (shown(value), *told))
        lines += map(repr, self.corrections[:_SHOWN])
        more = len(self.corrections) - _SHOWN
        return "\n".join(lines + (["… and %s" % counted(more, "correction")] if more > 0 else []))


class Checker:
    """Checks the table of one map, and keeps what each judge has said of a row: a check that goes
    on, or takes more rows, asks about those that are new. ``line`` shows a human a question and
    returns what is typed, ``ask`` carries a map out with a model, ``tell`` has a check recorded."""

    def __init__(
        self,
        asked: Map,
        line: "Callable[[str], str]",
        ask: "Callable[[Map, str], MapTable]",
        tell: "Callable[[dict[str, Any]], object]",
    ) -> None:
        self._map = asked
        self._line, self._ask, self._tell = line, ask, tell
        self._said: "dict[str, dict[int, Any]]" = {}

    def check(self, n: int, by: str, seed: Any) -> Check:
        """See ``MapTable.check``."""
        if n.__class__ is not int or not 1 <= n <= MOST:
            raise ValueError("check: n=%r: give a whole number from 1 to %s" % (n, f"{MOST:,}"))
        if not isinstance(by, str) or not by.strip():
            raise TypeError("check: by=%r: give %r or the name of a model" % (by, HUMAN))
        rows = [row for row in self._map.table.rows if has_value(row)]
        if not rows:
            raise CallRefused("check: no row of this table has a value")
        drawn = self._drawn(rows, seed)[:n]
        said = self._said.setdefault(by, {})
        why = self._ask_human(drawn, said) if by == HUMAN else self._ask_model(drawn, said, by)
        judged = [row for row in drawn if said.get(row.index, _SKIPPED) is not _SKIPPED]
        if not judged:
            raise CallRefused("check: no row was judged: %s" % (why or "all were skipped"))
        passed = sum(said.get(row.index) is _SKIPPED for row in drawn)
        skipped = passed if by == HUMAN else len(drawn) - len(judged)
        return self._found(rows, judged, said, skipped, by)

    def _drawn(self, rows: "list[MapRow]", seed: Any) -> "list[MapRow]":
        """Return the rows in an order of chance, which is that of the table itself or of the seed:
        the same in a replay, in a check that goes on, and in any version of Python."""
        if seed is None:
            whole = [
                self._map.table.question,
                [[row.index, str(key_of(row.value))] for row in rows],
            ]
            seed = hashlib.sha256(json.dumps(whole).encode()).hexdigest()

        def chance(row: MapRow) -> bytes:
            return hashlib.sha256(("%s %d" % (seed, row.index)).encode()).digest()

        return sorted(rows, key=chance)

    # who judges
    def _ask_human(self, drawn: "list[MapRow]", said: "dict[int, Any]") -> str:
        for number, row in enumerate(drawn):
            if row.index in said:
                continue
            try:
                value = self._judged(row, number + 1, len(drawn))
            except CallRefused as refused:
                so_far = "; t.check(n=%d) gives what was judged so far" % number if number else ""
                raise CallRefused("%s%s" % (refused, so_far)) from None
            if value is _STOPPED:
                return "the human ended the check at once"
            said[row.index] = value
        return ""

    def _judged(self, row: MapRow, number: int, count: int) -> Any:
        """Return the right value of a row, or that it is skipped, or that the check is stopped."""
        why = ""
        for _ in range(TRIES):
            line = self._line(why + self._question(row, number, count)).strip()
            if line in ("", SKIP, STOP):
                return {"": row.value, SKIP: _SKIPPED, STOP: _STOPPED}[line]
            try:
                return self._value(line)
            except Misfit as misfit:
                why = "%s was not taken: %s.\n" % (cut_pieces(line, 60)[0], str(misfit)[:300])
        return _SKIPPED

    def _question(self, row: MapRow, number: int, count: int) -> str:
        text = self._map.text(row)
        more = len(text) - ITEM_CHARS
        lines = text[:ITEM_CHARS].splitlines()
        if more > 0:
            lines.append("… %s more, in t[%d].item" % (counted(more, "character"), row.index))
        item = "\n".join("  | " + line for line in lines)  # so that it cannot pass for our words
        asked = " ".join(self._map.table.question.split())[:QUESTION_CHARS]
        value = cut_pieces(row.value, VALUE_CHARS)[0]
        told = row.index, number, count, asked, item, value, self._choices()
        return _seen(_ROW % told + _WAYS)

    def _choices(self) -> str:
        schema = self._map.schema
        if schema is None or _is_text(schema):
            return "the right text"
        if names := labels(schema):
            listed = ", ".join(names)
            more = "…" if len(listed) > CHOICES_CHARS else ""
            return "the right one of: %s%s" % (listed[:CHOICES_CHARS], more)
        return _FORMS.get(str(schema.get("type")), "the right value as JSON")

    def _value(self, line: str) -> Any:
        """Return what was typed as a value of the map. Raises ``Misfit``."""
        schema = self._map.schema
        if schema is None or _is_text(schema):
            return line
        assert self._map.form is not None
        return self._map.form.value(spelled(line, schema))

    def _ask_model(self, drawn: "list[MapRow]", said: "dict[int, Any]", model: str) -> str:
        left = [row for row in drawn if row.index not in said]
        table = self._ask(self._map.again(left), model) if left else MapTable("", [])
        said.update((row.index, row.value) for row in table.rows if has_value(row))
        return table.failed[0].why if table.failed else ""

    # what was found
    def _found(
        self, rows: "list[MapRow]", judged: "list[MapRow]", said: Any, skipped: int, by: str
    ) -> Check:
        names = _values(self._map.schema)
        exactly = bool(names or labels(self._map.schema))
        wrong = [row for row in judged if not _alike(row.value, said[row.index], exactly)]
        given = Counter(row.value for row in rows) if names else {}
        numbers = [(r.value, said[r.index]) for r in judged]
        numbers = numbers if all(map(_is_number, chain(*numbers))) else []
        told = {
            "kind": KIND,
            "question": " ".join(self._map.table.question.split())[:QUESTION_CHARS],
            "by": by[:QUESTION_CHARS],
            "rows": len(rows),
            "checked": len(judged),
            "skipped": skipped,
            "right": len(judged) - len(wrong),
            "given": [[name, given[name]] for name in names],
            "pairs": checked.of_pairs((row.value, said[row.index]) for row in judged if names),
            "differences": [right - value for value, right in numbers],
            "largest": _spread([*chain(*numbers), *(row.value for row in rows)]) if numbers else 0,
        }
        self._tell(told)
        figures = checked.figures(told)
        assert figures is not None, told
        own = {f.name: getattr(figures, f.name) for f in dataclasses.fields(figures)}
        corrections = [Correction(r.index, r.item, r.value, said[r.index]) for r in wrong]
        pairs = [[self._map.text(row), said[row.index]] for row in wrong]
        examples = [pair for pair in pairs if len(pair[0]) <= EXAMPLE_CHARS][:MOST_EXAMPLES]
        return Check(**own, corrections=corrections, examples=examples)


def _values(schema: Any) -> "list[Any]":
    """Return the values of a form that has few; of any other none."""
    if schema is not None and schema.get("type") == "boolean":
        return [True, False]
    names = labels(schema)
    return names if len(names) <= MOST_LABELS else []


def _is_text(schema: Any) -> bool:
    return bool(schema.get("type") == "string" and "enum" not in schema)


def _alike(one: Any, other: Any, exactly: bool) -> bool:
    """Return whether two values are the same; texts that are free, but for case, white space and
    the marks around them."""
    if isinstance(one, str) and isinstance(other, str) and not exactly:
        return _bare(one) == _bare(other)
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _bare(text: str) -> str:
    return " ".join(text.split()).strip(" .,;:!?\"'`()[]").casefold()


def _is_number(value: Any) -> bool:
    """Return whether it is a number of which a mean can be made."""
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < LARGEST / 4


def _spread(values: "list[Any]") -> float:
    """Return how far numbers lie apart, or where they are all the same how large they are."""
    numbers = [value for value in values if _is_number(value)]
    return float(max(numbers) - min(numbers)) or abs(float(numbers[0]))


def _seen(text: str) -> str:
    """Return the text without characters that are not seen, or that do something to a terminal."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
