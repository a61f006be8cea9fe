"""The figures of a check: how often a map is right, and how many rows have each value in truth.

``told`` is what was counted, as plain JSON data: a record has that, and the figures are made of it
wherever they are shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..pieces import counted
from .intervals import Measured, Share, corrected, mean, share

KIND = "check"
HUMAN = "human"
"""The name of the one who checks, where it is no model's."""
MOST = 1000
"""The most rows of a check."""
MOST_LABELS = 200
"""The most labels whose rows are counted."""
TOLD_LABELS = 6
"""The most of which a line tells."""
QUESTION_CHARS = 200
LABEL_CHARS = 40
LARGEST = 1 << 53


@dataclass(frozen=True)
class Checked:
    """The figures of a check. Of ``rows`` that have a value, ``checked`` were drawn at random and
    judged ``by`` the human or a model, ``right`` of them found right; ``skipped`` were drawn and
    not judged. ``accuracy`` is for all rows.

    Of values that are labels, or true and false, ``given`` is how often the map gave each,
    ``counts`` how many rows have it in truth, ``shares`` which part of the rows that is. Of numbers
    ``difference`` is the mean of the right value less the one given. All but what was counted have
    95 % intervals.
    """

    question: str
    by: str
    rows: int
    checked: int
    skipped: int
    right: int
    accuracy: Share
    given: dict = field(default_factory=dict)
    counts: "dict[Any, Measured]" = field(default_factory=dict)
    shares: "dict[Any, Share]" = field(default_factory=dict)
    difference: Optional[Measured] = None

    @property
    def whole(self) -> str:
        """Return who has checked how many rows, in words."""
        who = "the human" if self.by == HUMAN else self.by
        skipped = ", %d skipped" % self.skipped if self.skipped else ""
        rows = counted(self.rows, "row")
        return "checked on %s of %s by %s%s" % (format(self.checked, ","), rows, who, skipped)

    @property
    def often(self) -> "list[Any]":
        """Return the values that were counted, the most frequent first."""
        return sorted(self.shares, key=lambda value: -self.shares[value].value)

    @property
    def line(self) -> str:
        """Return all of it in a line, for where an answer is shown."""
        told = ["%s %s" % (shown(value), self.shares[value]) for value in self.often[:TOLD_LABELS]]
        more = len(self.often) - len(told)
        told += ["%d others" % more] if more > 0 else []
        if self.difference is not None:
            told.append("right values less those given: %s" % self.difference)
        told.append("accuracy %s" % self.accuracy)
        return "%s · %s · %s" % (self.question, ", ".join(told), self.whole)


def shown(value: Any) -> str:
    """Return a label, or a truth value, in a few words."""
    text = value if isinstance(value, str) else "yes" if value else "no"
    text = " ".join(text.split())
    return text if len(text) <= LABEL_CHARS else text[:LABEL_CHARS] + "…"


def of_pairs(pairs: "Iterable[tuple[Any, Any]]") -> "list[list[Any]]":
    """Return pairs of the value given and the right one, with how often each is there."""
    return [[given, right, count] for (given, right), count in Counter(pairs).items()]


def figures(told: Any) -> Optional[Checked]:
    """Return the figures of what was counted; None for what is no such thing."""
    if not _is_told(told):
        return None
    rows, checked, right = (told[name] for name in ("rows", "checked", "right"))
    differences = told["differences"]
    given = {value: count for value, count in told["given"]}
    counts = {value: _count(value, given[value], told) for value in given}
    return Checked(
        question=told["question"],
        by=told["by"],
        rows=rows,
        checked=checked,
        skipped=told["skipped"],
        right=right,
        accuracy=share(right, checked, rows),
        given=given,
        counts=counts,
        shares={value: Share.of(count, rows) for value, count in counts.items()},
        difference=mean(differences, rows, told["largest"]) if differences else None,
    )


def _count(value: Any, given: int, told: "Mapping[str, Any]") -> Measured:
    drawn = wrongly = missed = 0
    for said, right, count in told["pairs"]:
        drawn += count * (said == value)
        wrongly += count * (said == value and right != value)
        missed += count * (said != value and right == value)
    return corrected(given, told["rows"], told["checked"], drawn, wrongly, missed)


# -- what was counted, wherever it comes from ----------------------------------------------------
def _is_told(told: Any) -> bool:
    if not isinstance(told, Mapping) or told.get("kind") != KIND:
        return False
    texts = [told.get(name) for name in ("question", "by")]
    numbers = [told.get(name) for name in ("rows", "checked", "right", "skipped")]
    lists = [told.get(name) for name in ("given", "pairs", "differences")]
    formed = (
        all(isinstance(text, str) and len(text) <= QUESTION_CHARS for text in texts)
        and all(_is_count(number) for number in numbers)
        and all(isinstance(listed, list) and len(listed) <= MOST for listed in lists)
    )
    return formed and _adds_up(told)


def _adds_up(told: Any) -> bool:
    """Return whether the numbers can be those of one table."""
    given, pairs = told["given"], told["pairs"]
    if not told["right"] <= told["checked"] <= min(told["rows"], MOST) or not told["checked"]:
        return False
    if not all(map(_is_number, (*told["differences"], told.get("largest")))):
        return False
    if len(told["differences"]) not in (0, told["checked"]):
        return False
    if not all(_is_row(row, 1) for row in given) or not all(_is_row(row, 2) for row in pairs):
        return False
    if not given:
        return not pairs
    most = {value: count for value, count in given}
    drawn: Counter = Counter()
    for said, right, count in pairs:
        if said not in most or right not in most:
            return False
        drawn[said] += count
    whole = sum(most.values()) == told["rows"] and sum(drawn.values()) == told["checked"]
    return whole and all(drawn[value] <= most[value] for value in most)


def _is_row(row: Any, values: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) == values + 1
        and all(isinstance(value, (str, bool)) for value in row[:values])
        and _is_count(row[values])
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST
