"""Parameters of a replay that a human's cells set: ``context_path`` and its like.

The cells' sources are read and not the kernel's variables: code of a record may have run in it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from ...errors import UsageError

NAMES = ("context_path", "trajectory_path")
"""Variables as papermill sets them: another input for the cells, where the trajectory lies."""


class Parameters:
    """Parameters with the values that cells gave them last."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def note(self, source: str) -> None:
        """Take in a cell of the human's."""
        if any(name in source for name in NAMES):
            self._values.update(_assigned(source))

    def path(self, name: str) -> str | None:
        """Return a parameter's value. Raises ``UsageError`` for one that the source does not
        show."""
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        raise UsageError(f"{name} must be None or a path in quotes: {name} = 'input.txt'")


def _assigned(source: str) -> Iterator[tuple[str, Any]]:
    """Give name and value of each parameter that is bound at the top level; ``...`` for a value
    that is no literal."""
    try:
        lines = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for line in lines:
        if isinstance(line, ast.Assign | ast.AnnAssign):
            value = line.value.value if isinstance(line.value, ast.Constant) else ...
            for target in line.targets if isinstance(line, ast.Assign) else [line.target]:
                if isinstance(target, ast.Name) and target.id in NAMES:
                    yield target.id, value
