"""``results.jsonl``: the end of each task, a line a task."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import RecordError

RESULTS = "results.jsonl"
STATUSES = ("answered", "failed", "limit", "interrupted", "skipped")
_TOTAL = "limit reached: total_"


@dataclass(frozen=True)
class TaskResult:
    """The end of a task, or that it was ``skipped``. None where a thing is not known.

    ``answer`` is the best so far where it is not ``confirmed``, ``value`` the same as JSON data and
    ``type`` the name of its Python type. ``correct`` is what the score gave,
    None where nothing was expected. ``cost`` is in US dollars, None where the price of a request is
    not known; ``seconds`` are those of the run, ``began`` and ``ended`` Unix seconds. ``attempts``
    counts how often the run was begun, or resumed after it had ended. ``trajectory`` is
    relative to the folder. ``evidence`` are the quotes that the answer was given with, as in
    ``answers.Evidence``. ``task`` has the fields of the task that mean nothing to us.
    """

    id: str
    question: str
    status: str
    answer: str | None = None
    value: Any = None
    type: str | None = None
    confirmed: bool = False
    expected: Any = None
    correct: bool | float | None = None
    reason: str | None = None
    cost: float | None = None
    tokens: int = 0
    calls: int = 0
    turns: int = 0
    seconds: float = 0.0
    attempts: int = 0
    began: float | None = None
    ended: float | None = None
    trajectory: str | None = None
    evidence: list[dict[str, Any]] = field(default_factory=list)
    task: dict[str, Any] = field(default_factory=dict)

    @property
    def unfinished(self) -> bool:
        """Return True where a further ``rlm batch`` resumes it: it was skipped, interrupted,
        or ended by a limit that all tasks share."""
        return self.status in ("skipped", "interrupted") or is_total(self.status, self.reason)

    def line(self) -> str:
        return json.dumps(dataclasses.asdict(self)) + "\n"


def is_total(status: str, reason: str | None) -> bool:
    """Return True for a run that was ended by a limit that all tasks share."""
    return status == "limit" and (reason or "").startswith(_TOTAL)


def read_results(path: Path) -> tuple[list[TaskResult], int]:
    """Return the results in a file, which need not be there, and how many bytes of it are whole
    lines: a writer that was killed leaves half a line at the end.

    Raises ``RecordError`` for any other line that is none.
    """
    if not path.exists():
        return [], 0
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: the results cannot be read: {error.strerror}") from error
    whole = data[: data.rfind(b"\n") + 1]
    return list(_parsed(path, whole.splitlines())), len(whole)


def _parsed(path: Path, lines: Iterable[bytes]) -> Iterator[TaskResult]:
    for number, line in enumerate(lines, 1):
        try:
            yield _checked(json.loads(line))
        except (TypeError, ValueError, RecursionError) as error:
            raise RecordError(
                f"{path}: line {number} is not a result: {error}; delete the line to have "
                "the task looked at again"
            ) from error


def _checked(fields: Any) -> TaskResult:
    """Return a result with fields of the right types. Raises ``TypeError`` and ``ValueError``: a
    folder may come from anyone."""
    if not isinstance(fields, dict):
        raise ValueError("it is not an object")
    result = TaskResult(**fields)
    for name in ("id", "question", "status"):
        if not isinstance(getattr(result, name), str):
            raise ValueError(f"{name} is not a text")
    for name in ("answer", "type", "reason", "trajectory"):
        if not isinstance(getattr(result, name), str | None):
            raise ValueError(f"{name} is not a text")
    numbers = ("correct", "cost", "tokens", "calls", "turns", "seconds", "began", "ended")
    for name in numbers:
        value = getattr(result, name)
        if value is not None and not (isinstance(value, int | float) and abs(value) < 1e15):
            raise ValueError(f"{name}={value!r} is not a number")
    if result.status not in STATUSES:
        raise ValueError(f"status={result.status!r}")
    return result
