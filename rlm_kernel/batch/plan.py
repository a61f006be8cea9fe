"""The plan of a batch, and whether this process may have so many runs open at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsFloat, TypeAlias

from ..errors import UsageError
from . import summary
from .score import correct
from .summary import Texts
from .tasks import Task

if TYPE_CHECKING:
    from .task_run import OpenTaskRun

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

Score: TypeAlias = Callable[[Task, str | None], bool | float | None]
"""Of a task and the answer to it: whether that is right, or how right from 0 to 1; None where
nobody knows. It is called in a thread."""
FILES_OF_A_KERNEL = 25
"""Descriptors that a live kernel takes: measured 23 in the environment ``local``, 6 in ``docker``.
"""
FILES_OF_OURS = 128


def equality(task: Task, answer: str | None) -> bool | None:
    """Return the default score: see ``score.correct``."""
    return correct(answer, task.expected)


def scored(score: Score, task: Task, answer: str | None) -> bool | float | None:
    """Return what the score gives. Blocks. Raises ``UsageError`` for what is no score."""
    given = score(task, answer)
    if given is None or isinstance(given, bool):
        return given
    if not isinstance(given, SupportsFloat) or not 0 <= float(given) <= 1:
        raise UsageError(
            f"the score gave {given!r} for task {task.id!r}: give True, False, a number from 0 to "
            "1, or None"
        )
    return float(given)


@dataclass(frozen=True)
class Plan:
    """``concurrency`` is how many runs are live at once, ``retries`` how often a run that failed
    for a cause that may pass is resumed. ``total_cost``, in US dollars, is for all runs of the
    folder, those of earlier times included; ``total_seconds`` for this time. Without ``notebook``
    no ``summary.ipynb`` is made; ``texts`` gives the sources of its cells. ``open_run`` opens what
    answers a task, by default a run of ours.

    Raises ``UsageError`` for a value out of range.
    """

    concurrency: int = 8
    retries: int = 1
    retry_failed: bool = False
    total_cost: float | None = None
    total_seconds: float | None = None
    score: Score = equality
    notebook: bool = True
    texts: Texts = summary.texts
    open_run: OpenTaskRun | None = None

    def __post_init__(self) -> None:
        for name, least in (("concurrency", 1), ("retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name}={value!r}: give a whole number of at least {least}")
        for name in ("total_cost", "total_seconds"):
            value = getattr(self, name)
            right = isinstance(value, int | float) and math.isfinite(value) and value >= 0
            if value is not None and not right:
                raise UsageError(f"{name}={value!r}: give a number of at least 0, or None")


def make_room(concurrency: int, children: int) -> None:
    """Let this process have as many open files as so many live runs may need, each with so many
    live children.

    Raises ``UsageError`` where the system does not allow the runs even without any child.
    """
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = hard == resource.RLIM_INFINITY
    least = FILES_OF_OURS + concurrency * FILES_OF_A_KERNEL
    if not endless and least > hard:
        most = max((hard - FILES_OF_OURS) // FILES_OF_A_KERNEL, 0)
        raise UsageError(
            f"concurrency={concurrency}: so many live runs need {least:,} open files, and this "
            f"process may have {hard:,} (ulimit -Hn): give at most {most}"
        )
    wanted = least + concurrency * children * FILES_OF_A_KERNEL
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if endless else hard, hard))
