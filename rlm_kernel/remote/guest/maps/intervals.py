"""95 % intervals for numbers that were found in a random sample of a table's rows.

Rows are drawn once each, so that the numbers of a sample are hypergeometric, and a sample of all
rows leaves nothing open. ``within`` tries the tails for every number that the whole table may have:
the finite form of Clopper and Pearson's interval, exact and on the wide side of 95 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

_NOISE = 1e-9
MISSED = 0.025
"""The probability that is left out at each end."""


@dataclass(frozen=True)
class Measured:
    """A number and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return _written(self.value, self.low, self.high, "")


class Share(Measured):
    """A part of a whole, from 0 to 1, written in per cent."""

    def __str__(self) -> str:
        return _written(100 * self.value, 100 * self.low, 100 * self.high, " %")

    @classmethod
    def of(cls, count: Measured, total: int) -> "Share":
        """Return which part of ``total`` a count is."""
        return cls(count.value / total, count.low / total, count.high / total)


def _written(value: float, low: float, high: float, unit: str) -> str:
    """Return it as ``17 ± 4``, or with both ends where they are not equally far."""
    spread = high - low
    digits = (
        0 if spread >= 4 or (spread == 0 and value == int(value)) else 1 if spread >= 0.4 else 2
    )
    parts = (value, value - low, high - value, low, high)
    shown, below, above, least, most = (format(part, ",.%df" % digits) for part in parts)
    if spread == 0:
        return shown + unit
    if below == above:
        return "%s%s ± %s" % (shown, unit, above)
    return "%s%s (%s to %s)" % (shown, unit, least, most)


def within(found: int, drawn: int, total: int) -> "tuple[int, int]":
    """Return the least and the most that a table of ``total`` rows may have of what ``found`` of
    ``drawn`` rows are."""
    least, most = found, total - drawn + found
    low, high = least, most
    while low < high:  # the least number of which so many are no surprise
        middle = (low + high) // 2
        if 1 - _at_most(found - 1, drawn, total, middle) > MISSED:
            high = middle
        else:
            low = middle + 1
    first, high = low, most
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(found, drawn, total, middle) > MISSED:
            low = middle
        else:
            high = middle - 1
    return first, low


def _at_most(found: int, drawn: int, total: int, there: int) -> float:
    """Return the probability of ``found`` or fewer among the rows drawn, where ``there`` are."""
    others = total - there
    fewest, most = max(0, drawn - others), min(drawn, there)
    if found < fewest or found >= most:
        return float(found >= most)
    below = found * total < drawn * there  # the smaller tail: all of it is added up
    at = found if below else found + 1
    part = math.exp(
        _choices(there, at) + _choices(others, drawn - at) - _choices(total, drawn)
    )  # fmt: skip
    tail = part
    while fewest < at if below else at < most:
        if below:
            part *= at * (others - drawn + at) / ((there - at + 1) * (drawn - at + 1))
        else:
            part *= (there - at) * (drawn - at) / ((at + 1) * (others - drawn + at + 1))
        at += -1 if below else 1
        tail += part
    return tail if below else 1 - tail


def _choices(of: int, some: int) -> float:
    """Return the logarithm of the number of ways to choose ``some`` of so many."""
    return math.lgamma(of + 1) - math.lgamma(some + 1) - math.lgamma(of - some + 1)


def share(found: int, drawn: int, total: int) -> Share:
    """Return which part of all rows is what ``found`` of those ``drawn`` are."""
    low, high = within(found, drawn, total)
    return Share(found / drawn, low / total, high / total)


def corrected(
    given: int, total: int, drawn: int, drawn_given: int, wrongly: int, missed: int
) -> Measured:
    """Return how many rows have a value, which a map gave to ``given`` of ``total`` rows.

    Of the rows ``drawn``, ``drawn_given`` have it from the map, ``wrongly`` of them, and ``missed``
    others should have it. What is wrong is estimated apart in the rows that were given the value
    and in the others. Of the two intervals one is made by the squares of their sides (Zou and
    Donner's recovery of variances), and cut to what the rows drawn leave possible.
    """
    others = drawn - drawn_given
    too_many = _scaled(wrongly, drawn_given, given)
    too_few = _scaled(missed, others, total - given)
    value = given + too_few.value - too_many.value
    low = value - math.hypot(too_few.value - too_few.low, too_many.high - too_many.value)
    high = value + math.hypot(too_few.high - too_few.value, too_many.value - too_many.low)
    seen = drawn_given - wrongly + missed
    least, most = seen, total - drawn + seen
    ends = math.floor(low + _NOISE), math.ceil(high - _NOISE)  # a row is there whole or not at all
    value, low, high = (min(max(number, least), most) for number in (value, *ends))
    return Measured(value, low, high)


def _scaled(found: int, drawn: int, total: int) -> Measured:
    """Return how many of ``total`` rows are what ``found`` of those ``drawn`` are; of no rows that
    none are, since nothing speaks against the map there."""
    if not drawn:
        return Measured(0.0, 0.0, total)
    return Measured(total * found / drawn, *within(found, drawn, total))


def mean(differences: Sequence[float], total: int, largest: float) -> Measured:
    """Return the mean of a difference over all rows of which these are a sample, most of them 0
    perhaps: how many are not 0, times the mean of those, of which none is taken to be over
    ``largest``. Where few are not 0 it is the former that is uncertain, and no mean of the sample
    shows it."""
    drawn, wrong = len(differences), [number for number in differences if number]
    value = fmean(differences)
    if drawn == total:
        return Measured(value, value, value)
    least, most = (end / total for end in within(len(wrong), drawn, total))
    size = _mean_of(wrong, largest, math.sqrt(1 - drawn / total))
    near, far = (least, most) if size.value >= 0 else (most, least)
    part = len(wrong) / drawn
    low = math.hypot(size.value * (part - near), most * (size.value - size.low))
    high = math.hypot(size.value * (far - part), most * (size.high - size.value))
    return Measured(value, value - low, value + high)


def _mean_of(numbers: Sequence[float], largest: float, finite: float) -> Measured:
    """Return the mean of numbers with its interval by Student's t, which is ``finite`` times as
    wide as for a sample of something endless."""
    value = fmean(numbers) if numbers else 0.0
    side = math.inf
    if len(numbers) > 1:
        error = finite * stdev(numbers) / math.sqrt(len(numbers))
        side = quantile_of_t(len(numbers) - 1) * error
    return Measured(value, max(value - side, -largest), min(value + side, largest))


def quantile_of_t(freedom: int) -> float:
    """Return the number that Student's t with so many degrees of freedom is above in ``MISSED`` of
    all cases."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _between(middle, freedom) > 1 - 2 * MISSED else (middle, high)
    return (low + high) / 2


def _between(t: float, freedom: int) -> float:
    """Return the probability that Student's t lies between ``-t`` and ``t``: a finite sum, since
    the degrees of freedom are a whole number."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    square = math.cos(angle) ** 2
    part = math.cos(angle) if odd else 1.0
    summed = part if freedom > 1 else 0.0
    for at in range(2 + odd, freedom - 1, 2):
        part *= (at - 1) / at * square
        summed += part
    summed *= math.sin(angle)
    return 2 / math.pi * (angle + summed) if odd else summed
