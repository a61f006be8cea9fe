"""The size of a map or a batch before it starts, beside what is left: requests, tokens, money."""

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
    noun: str
    votes: int
    tokens: int
    cost: float | None

    @property
    def requests(self) -> int:
        return self.rows * self.votes

    def __str__(self) -> str:
        votes = f" with {self.votes} votes each" if self.votes > 1 else ""
        requests = counted(self.requests, "sub-call")
        cost = "" if self.cost is None else f", about {money(self.cost)}"
        tokens = f"about {self.tokens:,} tokens together{cost}"
        return f"{counted(self.rows, self.noun)}{votes}: {requests} of {tokens}"

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


def estimate(texts: Sequence[str], price: Price, options: MapOptions | None = None) -> Estimate:
    """Return what a call about these prompts takes; with ``options`` they are items of a map, and
    all of the same map that is ahead counts. A quarter of the characters are taken for tokens."""
    rows, chars, votes, around, said = len(texts), sum(map(len, texts)), 1, 0, FREE_TOKENS
    if options is not None:
        rows, chars, votes = rows + options.ahead[0], chars + options.ahead[1], options.votes
        around = len(prompt("", options))
        said = FREE_TOKENS if options.schema is None else FORM_TOKENS
    read = votes * (chars + rows * around) // CHARS_A_TOKEN
    usage = Usage(input_tokens=read, output_tokens=votes * rows * said)
    noun = "prompt" if options is None else "row"
    return Estimate(rows=rows, noun=noun, votes=votes, tokens=usage.tokens, cost=price(usage))


def _left(left: Mapping[str, float | None]) -> str:
    calls, tokens, cost = left["calls"], left["tokens"], left["cost"]
    parts = [
        None if calls is None else counted(int(calls), "sub-call"),
        None if tokens is None else counted(int(tokens), "token"),
        None if cost is None else money(cost),
    ]
    said = [part for part in parts if part is not None]
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else "".join(said)
