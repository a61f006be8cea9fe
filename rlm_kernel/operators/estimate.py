"""The size of a map before it starts: requests, tokens and money, beside what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..events import Usage
from ..lm.attempts import CHARS_A_TOKEN
from ..record.numbers import counted, money
from ..repl.map_options import MapOptions
from .row_prompt import prompt

FREE_TOKENS = 100
"""Assumed for a reply that has no form."""
FORM_TOKENS = 20
Price = Callable[[Usage], "float | None"]


@dataclass(frozen=True)
class Estimate:
    """``cost`` in US dollars is None where the price is not known."""

    rows: int
    votes: int
    tokens: int
    cost: float | None

    @property
    def requests(self) -> int:
        return self.rows * self.votes

    def __str__(self) -> str:
        votes = f" with {self.votes} votes each" if self.votes > 1 else ""
        cost = "" if self.cost is None else f", about {money(self.cost)}"
        return (
            f"{counted(self.rows, 'row')}{votes}: {counted(self.requests, 'sub-call')} of about "
            f"{self.tokens:,} tokens together{cost}"
        )

    def over(self, left: Mapping[str, float | None]) -> str | None:
        """Return the first of ``calls``, ``tokens`` and ``cost`` of which less is left; None where
        there is enough."""
        wanted = {"calls": self.requests, "tokens": self.tokens, "cost": self.cost or 0.0}
        for name, number in wanted.items():
            most = left[name]
            if most is not None and number > most:
                return name
        return None

    def refusal(self, left: Mapping[str, float | None]) -> str:
        """Return the error of a map for which there is not enough left, with the numbers."""
        fewer = "fewer rows or fewer votes" if self.votes > 1 else "fewer rows"
        return (
            f"a map of {self}; left are {_left(left)}: keep the rows that the question is about by "
            f"code first, or ask about {fewer}"
        )


def estimate(options: MapOptions, items: Sequence[str], price: Price) -> Estimate:
    """Return what a call about these items takes, with all of the same map that is ahead. A quarter
    of the characters are taken for tokens."""
    ahead, ahead_chars = options.ahead
    rows = len(items) + ahead
    around = len(prompt("", options))
    chars = options.votes * (sum(map(len, items)) + ahead_chars + rows * around)
    said = options.votes * rows * (FREE_TOKENS if options.schema is None else FORM_TOKENS)
    usage = Usage(input_tokens=chars // CHARS_A_TOKEN, output_tokens=said)
    return Estimate(rows=rows, votes=options.votes, tokens=usage.tokens, cost=price(usage))


def _left(left: Mapping[str, float | None]) -> str:
    calls, tokens, cost = left["calls"], left["tokens"], left["cost"]
    parts = [
        None if calls is None else counted(int(calls), "sub-call"),
        None if tokens is None else counted(int(tokens), "token"),
        None if cost is None else money(cost),
    ]
    said = [part for part in parts if part is not None]
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)
