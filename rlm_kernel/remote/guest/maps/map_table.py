"""The result of a map: a table of one row an item."""

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Optional

from ..errors import CallRefused
from ..forms.jsonable import NoJSON, plain
from ..pieces import counted, cut_pieces

MOST_COUNTS = 20
"""The most different values that are counted in a few words."""
MOST_FAILED = 8
_FIRST = 3
_ITEM_CHARS = 70
_VALUE_CHARS = 100
_WHY_CHARS = 120


@dataclass
class MapRow:
    """One item and what the sub-LM said of it. ``state`` is ``"ok"``; ``"tied"``, where as many
    votes were for another value; ``"failed"``, for the reason in ``why``; or ``"empty"``, where
    there was nothing to ask about. ``where``, ``start`` and ``end`` are the item's place in what
    was cut, ``attempts`` the requests made, ``votes`` the values of all that were asked for,
    ``since`` the earlier run that answered."""

    index: int
    item: Any
    value: Any = None
    state: str = "failed"
    attempts: int = 0
    why: str = ""
    where: str = ""
    start: Optional[int] = None
    end: Optional[int] = None
    votes: Any = None
    since: str = ""

    @property
    def span(self) -> "Optional[tuple[int, int]]":
        """The first character of the item and the one after its last."""
        return None if self.start is None or self.end is None else (self.start, self.end)

    def __repr__(self) -> str:
        said = _short(self.value, _VALUE_CHARS) if has_value(self) else _told(self)
        return "<row %d: %s -> %s>" % (self.index, _short(self.item, _ITEM_CHARS), said)


class MapTable(Sequence):
    """Rows by their index. ``values`` has the value of each, None of one that has none."""

    def __init__(self, question: str, rows: "list[MapRow]", said: str = "") -> None:
        self.question = question
        self.rows = rows
        self.said = said
        """The way in which the items were cut, in words."""
        self.checker: Any = None
        """The ``checks.Checker`` of a map's whole table."""

    def __getstate__(self) -> "dict[str, Any]":
        return dict(self.__dict__, checker=None)  # which speaks for one kernel

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: Any) -> Any:
        return self.rows[at]

    @property
    def values(self) -> list:
        return [row.value for row in self.rows]

    @property
    def failed(self) -> "list[MapRow]":
        """The rows that have no value; those without an item are none of them."""
        return [row for row in self.rows if row.state == "failed"]

    def counts(self) -> dict:
        """Return how often each value was given, the most frequent first; of a value that is no
        key its JSON text stands for it. Rows without a value count for nothing."""
        found = Counter(key_of(row.value) for row in self.rows if has_value(row))
        return dict(found.most_common())

    def check(self, n: int = 40, by: str = "human", seed: Any = None) -> Any:
        """Have ``n`` rows, drawn at random, judged ``by`` the human, who is shown one after another
        and confirms or corrects its value, or by a model of this name, which is asked the same.

        Returns a ``checks.Check``: ``.accuracy``, corrected ``.counts`` and ``.shares`` of labels
        and truth values, the mean ``.difference`` of numbers, each with its 95 % interval; the
        ``.corrections``, and these as ``.examples`` for another map. The rows are always the same
        for a table and a ``seed``, and what was judged once is not asked again. Raises
        ``CallRefused`` where nobody judges, ``ValueError`` and ``TypeError`` for wrong arguments.
        """
        if self.checker is None:
            raise CallRefused("check: only a table that llm_map gave in this kernel can be checked")
        return self.checker.check(n, by, seed)

    @property
    def records(self) -> "list[dict[str, Any]]":
        """The rows as dicts."""
        return [{f.name: getattr(row, f.name) for f in fields(row)} for row in self.rows]

    @property
    def df(self) -> Any:
        """The rows as a DataFrame of pandas. Raises ``ImportError`` where that is not there."""
        pandas: Any = __import__("pandas")  # which has no types
        names = [f.name for f in fields(MapRow)]
        return pandas.DataFrame(self.records, columns=names)

    @property
    def csv(self) -> str:
        """The rows as CSV, what is no text as JSON."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [f.name for f in fields(MapRow)], lineterminator="\n")
        writer.writeheader()
        for record in self.records:
            writer.writerow({name: _cell(value) for name, value in record.items()})
        return out.getvalue()

    def to_string(self) -> str:
        """Return all of it as text, for an answer."""
        return self.csv

    def __repr__(self) -> str:
        lines = [self._summary(), self._counted(), *self._without_value()]
        lines += [repr(row) for row in self.rows[:_FIRST]]
        more = len(self.rows) - _FIRST
        return "\n".join(
            filter(None, [*lines, "… and %s" % counted(more, "row") if more > 0 else ""])
        )

    def _summary(self) -> str:
        states = Counter(row.state for row in self.rows)
        said = ", ".join("%s %s" % (format(n, ","), state) for state, n in states.most_common())
        old = sum(bool(row.since) for row in self.rows)
        said += ", %s of them from an earlier run" % format(old, ",") if old else ""
        cut = " cut %s" % self.said if self.said else ""
        return "llm_map: %s%s%s" % (counted(len(self.rows), "row"), cut, said and ": " + said)

    def _counted(self) -> str:
        found = self.counts()
        if not 0 < len(found) <= MOST_COUNTS or len(found) == len(self.rows) > 3:
            return ""
        return "values: %s" % ", ".join(
            "%s %s" % (_short(value, 40), format(number, ",")) for value, number in found.items()
        )

    def _without_value(self) -> "list[str]":
        """Return lines for the rows that failed or are tied."""
        doubtful = [row for row in self.rows if row.state in ("failed", "tied")]
        lines = ["row %d %s" % (row.index, _told(row)) for row in doubtful[:MOST_FAILED]]
        more = len(doubtful) - MOST_FAILED
        return lines + (["… and %d more such" % more] if more > 0 else [])


def has_value(row: MapRow) -> bool:
    """Return whether the sub-LM gave one."""
    return row.state in ("ok", "tied")


def _told(row: MapRow) -> str:
    votes = " between %s" % _short(row.votes, _VALUE_CHARS) if row.state == "tied" else ""
    return row.state + votes + (": %s" % row.why[:_WHY_CHARS] if row.why else "")


def _short(value: Any, most: int) -> str:
    text, whole = cut_pieces(value, most)
    return " ".join(text.split()) + ("" if whole else "…")


def key_of(value: Any) -> Any:
    """Return what a value is counted by."""
    scalar = value is None or isinstance(value, (str, int, float))
    return value if scalar else _json(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(plain(value), ensure_ascii=False, sort_keys=True)
    except NoJSON:
        return str(value)


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else _json(value)
