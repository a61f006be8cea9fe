"""``python -m tests.faults [--kill [COUNT [ENVIRONMENT]]] [--resume [COUNT]]
[--batch [COUNT [FOLDER TO KEEP]]] [--hostile [COUNT [NUMBERS OF TASKS]]]
[--chaos [COUNT [ENVIRONMENT [SEED [STROKE]]]]] [--messages [COUNT [ENVIRONMENT [SEED]]]]
[WORDS OF CASES]``."""

from __future__ import annotations

import sys
from collections.abc import Callable

from . import batches, chaos, fuzz, hostile, kills, resumes, table


def _kill(count: int = 20, *where: str) -> bool:
    return kills.write(count, kills.Where(*where))


def _chaos(count: int = 24, where: str = "local", seed: str = "", *stroke: str) -> bool:
    return chaos.write(count, kills.Where(where), int(seed) if seed else None, " ".join(stroke))


def _resume(count: int = 20) -> bool:
    return resumes.write(count)


def _batch(count: int = 200, *keep: str) -> bool:
    return batches.write(count, *keep)


def _hostile(count: int = 20, *tasks: str) -> bool:
    return hostile.write(count, *tasks)


def _messages(count: int = 200, where: str = "local", seed: str = "1") -> bool:
    return fuzz.write(count, where, int(seed))


PROGRAMS: dict[str, Callable[..., bool]] = {
    "--kill": _kill,
    "--resume": _resume,
    "--batch": _batch,
    "--hostile": _hostile,
    "--chaos": _chaos,
    "--messages": _messages,
}

if __name__ == "__main__":
    words = sys.argv[1:]
    program = PROGRAMS.get(words[0]) if words else None
    if program is None:
        sys.exit(0 if table.write(" ".join(words)) else 1)
    sys.exit(0 if program(*map(int, words[1:2]), *words[2:]) else 1)
