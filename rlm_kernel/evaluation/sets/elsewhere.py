"""Kinds whose contexts are made by published generators, in Pythons of their own: RULER's six
tasks without a download, and the needles of ``reasoning-gym``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from ..pythons import lines, python_of
from .kind import Kind, Made, Wanted

CHARS_A_TOKEN = 4
MAKE_SECONDS = 1800.0
RULER_TOKENS = {
    "niah_single_1": 128, "niah_multikey_2": 128, "niah_multikey_3": 128,
    "vt": 30, "cwe": 120, "fwe": 50,
}  # fmt: skip
"""The tokens that the published tasks leave for an answer."""
HELD_OUT = ("niah_multikey_3", "fwe")
ASKED = "{question}"


def _never(chance: Random, chars: int) -> Made:
    raise AssertionError("these are made elsewhere, all at once")


def ruler(wanted: Sequence[Wanted]) -> Iterator[Made]:
    """Yield RULER's tasks by the generators of ``lm-eval``. Blocks. Raises ``Unavailable``."""
    tasks = [{"task": w.kind.name, "seed": w.number, "chars": w.chars} for w in wanted]
    for each in lines(python_of("ruler"), "ruler_tasks", {"tasks": tasks}, MAKE_SECONDS):
        words = {"question": each["question"]}
        yield Made(context=each["context"], gold=each["gold"], words=words)


def puzzles(wanted: Sequence[Wanted]) -> Iterator[Made]:
    """Yield the needles of ``reasoning-gym``. Blocks. Raises ``Unavailable``."""
    tasks = [{"seed": w.number, "chars": w.chars} for w in wanted]
    for each in lines(python_of("puzzles"), "puzzle_tasks", {"tasks": tasks}, MAKE_SECONDS):
        words = {"question": each["question"]}
        yield Made(context=each["context"], gold=each["gold"], words=words)


RULER = tuple(
    Kind(
        name=name, make=_never, rule="parts", wordings=(ASKED,), held_out=name in HELD_OUT,
        answer_chars=tokens * CHARS_A_TOKEN,
    )
    for name, tokens in RULER_TOKENS.items()
)  # fmt: skip
PUZZLES = (Kind(name="who-likes", make=_never, rule="text", wordings=(ASKED,)),)
