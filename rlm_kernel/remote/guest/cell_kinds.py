"""The cells of a column as SQL can compare and add them: numbers, dates as 2024-03-05, texts.

A column is of a kind only where all its cells are: one that is not leaves it as it is written.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from typing import Any, Optional

_NUMBER = re.compile(r"[-+]?[$€£]?\s?[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?\s?[$€£%]?\Z")
_MEASURE = re.compile(r"([-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)\s?([A-Za-zµ]{1,7})\Z")
_UNITS = (
    {"mg": 1e-6, "g": 1e-3, "kg": 1.0, "t": 1e3, "lb": 0.45359237, "oz": 0.028349523125},
    {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3, "in": 0.0254, "ft": 0.3048, "mi": 1609.344},
    {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0},
    {"ml": 1e-3, "cl": 1e-2, "l": 1.0, "hl": 100.0},
    {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2**10, "mib": 2**20},
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
)
_DAY_FIRST, _MONTH_FIRST = ("%d/%m/%Y", "%d-%m-%Y"), ("%m/%d/%Y", "%m-%d-%Y")
_LONGEST = 30
_LOOKED_AT = 20


def typed(cells: list[Any]) -> tuple[list[Any], Optional[str]]:
    """Return the cells as their column's kind, and of numbers the unit that all were brought to,
    ``""`` where they have none; None of others."""
    numbers = _numbers(cells)
    if numbers is not None:
        return numbers, ""
    measured = _measures(cells)
    if measured is not None:
        return measured
    return _dates(cells) or cells, None


def _numbers(cells: list[Any]) -> Optional[list[Any]]:
    """Return the cells as numbers; None where a cell is none, or one that code has, as 007."""
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
    if not digits or (digits[0] == "0" and digits[1:2].isdigit()):
        return None
    return float(bare) if "." in bare else int(bare) if len(digits) < 19 else None


def _measures(cells: list[Any]) -> Optional[tuple[list[Any], str]]:
    """Return measures, as 1.2 kg and 300 g, in the unit that most have; None where a cell is none
    or they are of several kinds."""
    found = [_MEASURE.match(c.strip()) if isinstance(c, str) and c.strip() else None for c in cells]
    units = Counter(match.group(2).lower() for match in found if match)
    kind = next((kind for kind in _UNITS if units and kind.keys() >= units.keys()), None)
    if kind is None:
        return None
    if any(match is None and cell not in (None, "") for match, cell in zip(found, cells)):
        return None
    unit = units.most_common(1)[0][0]
    made = [
        None
        if match is None
        else float(match.group(1).replace(",", "")) * kind[match.group(2).lower()] / kind[unit]
        for match in found
    ]
    return made, unit


def _dates(cells: list[Any]) -> Optional[list[Any]]:
    """Return the cells with dates as 2024-03-05, where all are dates, of whatever form. Where day
    and month could be told apart in no cell, and stand so in some, the texts stay."""
    texts = [c.strip() for c in cells if isinstance(c, str) and c.strip()]
    if not texts or len(texts) < sum(cell not in (None, "") for cell in cells):
        return None
    if not any(_date(t, (*_CLEAR_DATES, *_DAY_FIRST, *_MONTH_FIRST)) for t in texts[:_LOOKED_AT]):
        return None
    clear = {text: _date(text, _CLEAR_DATES) for text in set(texts)}
    rest = [text for text, date in clear.items() if date is None]
    if rest:
        orders = [form for form in (_DAY_FIRST, _MONTH_FIRST) if all(_date(t, form) for t in rest)]
        if len(orders) != 1:
            return None
        clear.update({text: _date(text, orders[0]) for text in rest})
    return [clear[c.strip()] if isinstance(c, str) and c.strip() else c for c in cells]


def _date(text: str, forms: tuple[str, ...]) -> Optional[str]:
    if len(text) > _LONGEST or not any(map(str.isdigit, text)):
        return None
    for form in forms:
        try:
            return datetime.strptime(text, form).strftime("%Y-%m-%d")
        except ValueError:
            continue
    return None
