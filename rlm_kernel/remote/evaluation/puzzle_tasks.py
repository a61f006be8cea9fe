"""Make needles by ``reasoning-gym``: who likes what, once among many.

Standard input has ``{"tasks": [{"seed", "chars"}, ...]}``; for each a line is printed,
``{"context", "question", "gold"}``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import reasoning_gym

CHARS_A_STATEMENT = 32


def main() -> None:
    """Make what standard input asks for."""
    for wanted in json.load(sys.stdin)["tasks"]:
        few = _made(wanted["seed"], max(wanted["chars"] // CHARS_A_STATEMENT // 10, 20))
        count = max(wanted["chars"] * few["statements"] // len(few["context"]), 20)
        made = _made(wanted["seed"], count)
        print(json.dumps({name: made[name] for name in ("context", "question", "gold")}))


def _made(seed: int, count: int) -> dict[str, Any]:
    puzzles = reasoning_gym.create_dataset(
        "needle_haystack", seed=seed, size=1, min_num_statements=count, max_num_statements=count
    )
    puzzle = puzzles[0]
    question = puzzle["metadata"]["question"]
    context = puzzle["question"].removesuffix(question).strip()
    asked = question.removeprefix("Who").partition("?")[0] + "."
    # Others may like the same: whoever does is right.
    who = [each.removesuffix(asked) for each in _statements(context) if each.endswith(asked)]
    return {"context": context, "question": question, "gold": sorted(who), "statements": count}


def _statements(context: str) -> list[str]:
    return [f"{each}." for each in context.removesuffix(".").split(". ")]


if __name__ == "__main__":
    main()
