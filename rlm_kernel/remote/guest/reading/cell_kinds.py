"""The cells of a column as SQL can compare and add them: numbers, dates as 2024-03-05, texts.

A column is of a kind only where all its cells are: one that is not leaves it as it is written.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NamedTuple, Optional

_NUMBER = re.compile(r"[-+]?[$€£]?\s?[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?\s?[$€£%]?\Z")
_MEASURE = re.compile(r"([-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\s?([A-Za-zµ]{1,7})\Z")
_CODE_FIRST = re.compile(r"([A-Z]{3})\s?([-+]?\d.*)\Z")
_MONEY = "aud cad chf cny czk dkk eur gbp inr jpy nok pln sek usd"
_UNITS = (
    {"mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3, "lb": 0.45359237, "oz": 0.028349523125},
    {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3, "in": 0.0254, "ft": 0.3048, "mi": 1609.344},
    {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    {"ml": 1e-3, "cl": 1e-2, "l": 1.0, "hl": 100.0},
    {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0},
    {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20},
    *(
        {code: 1.0}
        for code in [
            "aud",
            "cad",
            "chf",
            "cny",
            "czk",
            "dkk",
            "eur",
            "gbp",
            "inr",
            "jpy",
            "nok",
            "pln",
            "sek",
            "usd",
        ]
    ),
)
_CLEAR_DATES = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d %B %Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%B %d, %Y",
    "%b %d, %Y",
    "%B %d %Y",
    "%b %d %Y",
    "%d/%b/%Y",
)
_DAY_FIRST = ("%d/%m/%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m-%d-%Y", "%m/%d/%y")
_LONGEST = 40
_LOOKED_AT = 20
_LEAST_DAYS = 3
"""Fewer days in order say nothing of how they are written."""
_NOTHING = {"", "-", "--", "—", "n/a", "n.a.", "#n/a", "<na>", "null", "nan"}
_CLOCK = re.compile(
    r"(.{6,20}?)(?:,? |,|:|T)(\d{1,2}:\d\d(?::\d\d)?)(?:[.,]\d+)?"
    r"(?: ?([AaPp])\.?[Mm]\.?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?\Z"
)
_SORTED = re.compile(r"\d{4}-\d\d-\d\d")


class Typed(NamedTuple):
    """The cells of a column as its kind has them: of numbers with the ``unit`` that all were
    brought to, ``""`` where they have none, None of others; of dates with how each was written."""

    cells: list[Any]
    unit: Optional[str] = None
    dates: dict[str, str] = {}  # noqa: RUF012 (which nobody changes)


def typed(cells: list[Any]) -> Typed:
    """Return the cells as their column's kind. A cell that says that there is nothing, as n/a does,
    is None."""
    cells = [None if says_nothing(cell) else cell for cell in cells]
    numbers = _numbers(cells)
    if numbers is not None:
        return Typed(numbers, "")
    return _measures(cells) or _dates(cells) or Typed(cells)


def says_nothing(cell: Any) -> bool:
    """Return whether a cell stands for none: an empty one, a dash, n/a and the like."""
    return isinstance(cell, str) and cell.strip().lower() in _NOTHING


def _numbers(cells: list[Any]) -> Optional[list[Any]]:
    """Return the cells as numbers; None where a cell is none, or is a code, as 007, or a
    telephone number, as +44."""
    made: list[Any] = []
    for cell in cells:
        if cell is None or isinstance(cell, (int, float)):
            made.append(cell)
        elif not cell.strip():
            made.append(None)
        elif (number := _number(cell.strip())) is None:
            return None
        else:
            made.append(number)
    return made if any(cell is not None for cell in made) else None


def _number(text: str) -> Any:
    if len(text) > _LONGEST or not _NUMBER.match(text):
        return {"true": 1, "false": 0}.get(text.lower())
    bare = re.sub(r"[$€£%,\s+]", "", text)
    digits = bare.lstrip("-")
    if not digits or (digits[0] == "0" and digits[1:2].isdigit()) or text[0] == "+":
        return None
    return float(bare) if "." in bare else int(bare) if len(digits) < 19 else None


def _measures(cells: list[Any]) -> Optional[Typed]:
    """Return measures, as 1.2 kg and 300 g, in the unit that all have, or else in kg, m, s, l or b;
    None where a cell is none or they are of several kinds."""
    texts = [cell if isinstance(cell, str) else None for cell in cells]
    found = [_MEASURE.match(_CODE_FIRST.sub(r"\2 \1", c.strip())) if c else None for c in texts]
    units = {match.group(2).lower() for match in found if match}
    kind = next((kind for kind in _UNITS if units and kind.keys() >= units), None)
    if kind is None:
        return None
    if any(match is None and cell is not None for match, cell in zip(found, cells)):
        return None
    unit = next(iter(units)) if len(units) == 1 else next(u for u in kind if kind[u] == 1.0)
    made = [
        None
        if match is None
        else float(match.group(1).replace(",", "")) * kind[match.group(2).lower()] / kind[unit]
        for match in found
    ]
    return Typed(made, unit)


def _dates(cells: list[Any]) -> Optional[Typed]:
    """Return the cells with dates as 2024-03-05, and times as 2024-03-05 14:07, where all are
    dates, of whatever form. Where day and month could be told apart neither by a cell nor by the
    order of the rows, the texts stay."""
    texts = {c.strip() for c in cells if isinstance(c, str)}
    if not texts or any(cell is not None and not isinstance(cell, str) for cell in cells):
        return None
    apart = {text: _clocked(text) for text in texts}
    dates = {date for date, _ in apart.values()}
    if all(map(_SORTED.match, dates)) or not any(
        _date(text, (*_CLEAR_DATES, *_DAY_FIRST, *_MONTH_FIRST))
        for text in sorted(dates)[:_LOOKED_AT]
    ):
        return None
    clear = {text: _date(text, _CLEAR_DATES) for text in dates}
    rest = [text for text, date in clear.items() if date is None]
    if rest:
        ways = [way for form in (_DAY_FIRST, _MONTH_FIRST) if (way := _all_dates(rest, form))]
        if len(ways) > 1:  # the one by which the rows are in order
            dated = [apart[c.strip()][0] for c in cells if isinstance(c, str)]
            ways = [way for way in ways if _in_order([clear[d] or way[d] for d in dated])]
        if len(ways) != 1:
            return None
        clear.update(ways[0])
    whole = {text: f"{clear[date]}{clock}" for text, (date, clock) in apart.items()}
    made = [whole[c.strip()] if isinstance(c, str) else c for c in cells]
    return Typed(made, dates={date: str(day) for date, day in clear.items()})


def _all_dates(texts: list[str], form: tuple[str, ...]) -> Optional[dict[str, str]]:
    """Return the date that each text is by a form; None where one is none."""
    made = {text: _date(text, form) for text in texts}
    return {text: date for text, date in made.items() if date} if all(made.values()) else None


def _in_order(dates: list[str]) -> bool:
    return len(set(dates)) > _LEAST_DAYS and sorted(dates) in (dates, dates[::-1])


def _clocked(text: str) -> tuple[str, str]:
    """Return the date of a text, and its time of day as " 14:07", or "" where it has none."""
    found = _CLOCK.match(text) if len(text) <= _LONGEST else None
    if found is None:
        return text, ""
    hour, rest = found.group(2).split(":", 1)
    half = (found.group(3) or "").lower()
    hours = int(hour) % 12 + 12 * (half == "p") if half else int(hour)
    return found.group(1), f" {hours:02}:{rest}"


def _date(text: str, forms: tuple[str, ...]) -> Optional[str]:
    if len(text) > _LONGEST or not any(map(str.isdigit, text)):
        return None
    for form in forms:
        try:
            return datetime.strptime(text, form).strftime("%Y-%m-%d")
        except ValueError:
            continue
    return None
