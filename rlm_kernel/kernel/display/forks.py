"""Branches of a notebook's question, as the notebook shows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...record.markdown import isolated, one_line, shorten
from ...record.numbers import spent
from ...session.forking import Forked
from .bundles import Linked

COMPARED = "This kernel is as it was. `rlm diff A B` compares two of them."


def branch_rows(forked: Sequence[Forked]) -> Iterator[tuple[list[str | Linked], Forked]]:
    """Yield for each branch its number, what its kernel is, its status, its answer, and what it has
    spent."""
    for number, each in enumerate(forked, 1):
        kernel = f"its cells ran again: {each.replayed}" if each.replayed else "a fork of this one"
        answer = isolated(shorten(one_line(each.result.response or ""), 200))
        used = spent(each.result.usage)
        row: list[str | Linked] = [str(number), kernel, each.result.status, answer, used]
        yield row, each
