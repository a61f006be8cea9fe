"""The attacks of ``attacks.toml``: every means against every target."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Attack:
    """A cell, and what it is after: to tell somebody, to read, to change, or to escape."""

    kind: str
    name: str
    cell: str


def attacks(machine: str) -> list[Attack]:
    """All of them, for a machine of this kind."""
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    numbers = told["numbers"].get(machine, told["numbers"]["x86_64"])
    return [attack for group in told["attacks"] for attack in _each(group, numbers)]


def _each(group: dict[str, Any], numbers: dict[str, int]) -> Iterator[Attack]:
    for target, words in group["targets"].items():
        for means, cell in group["means"].items():
            yield Attack(group["kind"], f"{target}, {means}", aimed(aimed(cell, words), numbers))


def aimed(cell: str, words: dict[str, Any]) -> str:
    """The cell with each ``@NAME@`` that is known."""
    return re.sub(r"@([A-Za-z_]+)@", lambda m: str(words.get(m[1], m[0])), cell)
