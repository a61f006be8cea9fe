"""The sets of tasks, each a list of kinds.

All answers are right by construction, or found by parsing what the context is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from . import asked_records, asked_tables, asked_texts, elsewhere, labels, needles, prose, sources
from .kind import Gold, Kind, Made, Wanted, size

__all__ = ["SETS", "Gold", "Kind", "Made", "TaskSet", "Wanted", "size"]


def made_here(wanted: Sequence[Wanted]) -> Iterator[Made]:
    """Yield what the kinds themselves make."""
    for each in wanted:
        yield each.kind.make(each.chance, each.chars)


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """Kinds of tasks that belong together. ``lengths`` are those that are made by default, as
    ``--length`` has them; ``make`` yields the tasks that are wanted, in their order."""

    name: str
    told: str
    kinds: tuple[Kind, ...]
    lengths: str = "1e4,1e5,1e6"
    make: Callable[[Sequence[Wanted]], Iterator[Made]] = made_here


SETS = {
    each.name: each
    for each in (
        TaskSet(
            name="asked",
            told="what users ask of tables, logs, mails, notes: 28 kinds in three wordings",
            kinds=(*asked_tables.KINDS, *asked_records.KINDS, *asked_texts.KINDS),
        ),
        TaskSet(
            name="labels",
            told="counts over messages that must be labelled by meaning, in the style of OOLONG",
            kinds=labels.KINDS,
        ),
        TaskSet(
            name="needles",
            told="a little to be found in much prose, changed later, or not there",
            kinds=needles.KINDS,
            lengths="1e5,1e6,4e6",
        ),
        TaskSet(
            name="puzzles",
            told="who likes what, once among many, by reasoning-gym (installed when first asked)",
            kinds=elsewhere.PUZZLES,
            lengths="1e5,1e6,4e6",
            make=elsewhere.puzzles,
        ),
        TaskSet(
            name="ruler",
            told="RULER's six tasks without a download, by lm-eval (installed when first asked)",
            kinds=elsewhere.RULER,
            lengths="32kt,128kt,1mt",
            make=elsewhere.ruler,
        ),
        TaskSet(
            name="sources",
            told="the sources of Python's standard library, answers by ast",
            kinds=sources.KINDS,
        ),
        TaskSet(
            name="prose",
            told="licences, changelogs, help and quotations of this machine, answers by parsing",
            kinds=prose.KINDS,
            lengths="1e4,1e5",
        ),
    )
}
