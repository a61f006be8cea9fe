"""The tokens and dollars of many runs: by the day, the model and the folder of each request."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RecordError
from ..events import CallEnded, Event, NodeEnded, Replied, Usage
from ..record.markdown import one_line
from ..record.numbers import price
from ..record.recording import Recording
from ..record.summary import add_up
from .listing import shown_time

SANDBOX = "(sandboxes)"
"""Stands for a model where it is a sandbox that cost."""
UNKNOWN = "(unknown)"


@dataclass(frozen=True, kw_only=True)
class Spent:
    """The use of one run on one day by one model. ``folder`` is where the run's folder is."""

    run: str
    folder: str
    day: str
    model: str
    usage: Usage


@dataclass(frozen=True)
class Unread:
    """A run of which nothing could be read, or not all."""

    path: Path
    why: str


KEYS: dict[str, Callable[[Spent], str]] = {
    "day": lambda spent: spent.day,
    "model": lambda spent: spent.model,
    "folder": lambda spent: spent.folder,
}
"""What it is added up by."""


def read(path: Path) -> list[Spent | Unread]:
    """Return what a run has used, by day and model. Never raises for what is wrong with it. What a
    run was answered by the record that it goes on from has cost it nothing."""
    try:
        recording = Recording.open(path)
    except RecordError as error:
        return [Unread(path, str(error))]
    except OSError as error:  # it was removed meanwhile
        return [Unread(path, f"the record cannot be read: {error.strerror}")]
    used: defaultdict[tuple[str, str], Usage] = defaultdict(Usage)
    for day, model, usage in _used(recording.events):
        used[day, model] += usage
    folder = path if path.is_dir() else path.parent
    found: list[Spent | Unread] = [
        Spent(run=str(folder), folder=str(folder.parent), day=day, model=model, usage=usage)
        for (day, model), usage in used.items()
        if usage != Usage()
    ]
    return found + [Unread(path, "; ".join(recording.problems[:3]))] * bool(recording.problems)


def _used(events: Iterable[Event]) -> Iterator[tuple[str, str, Usage]]:
    for event in events:
        match event:
            case Replied():
                yield _day(event.time), event.model, event.usage
            case CallEnded(child=None):
                yield _day(event.started), event.model or UNKNOWN, event.usage
            case NodeEnded():
                yield _day(event.time), SANDBOX, event.usage
            case _:
                pass


def _day(seconds: float) -> str:
    """Return the day in the local time; a notebook alone has no times."""
    return shown_time(seconds, "%Y-%m-%d") if seconds else UNKNOWN


def summed(every: Iterable[Spent], by: str) -> dict[str, tuple[int, Usage]]:
    """Return the number of runs and their use by one of ``KEYS``, in its order."""
    parts: defaultdict[str, list[Spent]] = defaultdict(list)
    for spent in every:
        parts[KEYS[by](spent)].append(spent)
    return {
        key: (len({spent.run for spent in part}), add_up(spent.usage for spent in part))
        for key, part in sorted(parts.items())
    }


def rows(every: list[Spent], by: str) -> Iterator[tuple[str, ...]]:
    """Yield what a person reads: a head, a row a key, and the sum of all."""
    yield by, "runs", "requests", "tokens in", "tokens out", "cost"
    for key, (runs, usage) in summed(every, by).items():
        yield one_line(key), f"{runs:,}", *_numbers(usage)
    whole = add_up(spent.usage for spent in every)
    yield "all", f"{len({spent.run for spent in every}):,}", *_numbers(whole)


def _numbers(usage: Usage) -> tuple[str, ...]:
    about = "about " if usage.estimated else ""
    counts = (usage.requests, usage.input_tokens, usage.output_tokens)
    return (*(f"{number:,}" for number in counts), f"{about}{price(usage)}")


def as_json(every: Iterable[Spent]) -> list[dict[str, Any]]:
    """Return plain JSON data for programs: an object for each run, day and model."""
    return [dataclasses.asdict(spent) for spent in every]


def unread(found: Iterable[Unread]) -> Iterator[str]:
    """Yield a sentence for each run that is not, or not wholly, among the figures."""
    for one in found:
        yield f"not all of it is counted: {one.path}: {one_line(one.why)[:400]}"


def told(found: Iterable[Spent | Unread]) -> tuple[list[Spent], list[Unread]]:
    """Return both kinds apart."""
    every = list(found)
    return (
        [one for one in every if isinstance(one, Spent)],
        [one for one in every if isinstance(one, Unread)],
    )
