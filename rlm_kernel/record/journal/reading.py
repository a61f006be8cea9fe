"""A journal read and checked line by line: its events, and all that is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import RecordError
from ...events import ROOT, Event, RunStarted
from .. import blobs, files
from ..equality import canonical
from ..format_version import NewerRecord
from ..forms import UnknownKind, event_of, is_newer
from ..packing import blob_named, unpack
from .lines import LONGEST_LINE, is_seal, line_of, next_seal, parsed, seal_of

MOST_PROBLEMS = 1000
"""With more of them a file is no record, and the rest is not read."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a record. ``line`` counts from 1; 0 is the file as a whole, None what
    its events say together, or another file beside it."""

    line: int | None
    text: str
    cut: bool = False
    """Whether it is only that the writer was stopped in the midst of the last line."""
    unfit: bool = False
    """Whether an event is left out because it is not what it should be."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Record:
    """The contents of a journal. ``seal`` is the hash in its last line, if it has one, and
    ``signature`` is what stands beside it, unchecked; ``lines`` has the number of each event's
    line.

    ``sealed`` is true for a whole record: its seal is there and right, and nothing is missing.
    A record without a seal and without problems is that of a run that still goes on or was killed.
    """

    events: list[Event]
    sealed: bool
    problems: list[Problem]
    seal: str | None = None
    signature: str | None = None
    lines: list[int] = field(default_factory=list)

    @property
    def cut(self) -> bool:
        return any(problem.cut for problem in self.problems)


def damage(problems: Iterable[Problem]) -> Problem | None:
    """Return the first one that forbids going on from a record: a last line that was cut does not,
    nor does what is wrong with no line."""
    return next((one for one in problems if one.line is not None and not one.cut), None)


def unfit(problems: Iterable[Problem]) -> Problem | None:
    """Return the first one for which an event is left out because it is not what it should be."""
    return next((one for one in problems if one.unfit), None)


def read(path: Path) -> Record:
    """Read all that can be read. What is wrong is told in ``problems``; only a file that is
    missing, cannot be opened or is of a newer version raises ``RecordError``."""
    with opened(path) as file:
        return scan(path, file).record()


def event_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each event of a sound record as it stands there, packed, with the number of its line.

    Raises ``RecordError``.
    """
    with opened(path) as file:
        for number, line in enumerate(file, 1):
            data = parsed(line)
            if isinstance(data, dict) and isinstance(data.get("event"), dict):
                yield number, data["event"]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open the file of a record. Raises ``RecordError``, also for what is raised inside."""
    with errors_named(path), files.open_file(path) as file:
        yield file


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Make of what reading a record raises a ``RecordError`` that names it."""
    try:
        yield
    except OSError as error:
        raise RecordError(f"{path}: the record cannot be read: {error.strerror}") from error
    except NewerRecord as error:
        raise NewerRecord(f"{path}: {error}") from error


def scan(path: Path, file: BinaryIO) -> Reader:
    """Return the reader that has taken all lines of the file, which is that of ``path``."""
    reader = Reader(path.parent / "blobs")
    number = 0
    while not reader.full and (line := file.readline(LONGEST_LINE + 1)):
        number += 1
        reader.take(number, line)
    return reader


@dataclass
class Reader:
    """Takes the lines of a journal in their order. ``size`` and ``bytes_read`` are of the whole
    lines so far, ``chain`` is the seal of the last one; None where that could not be read."""

    blobs: Path | None
    """The folder of long texts; None if they are to be named, not fetched."""
    longest: int = LONGEST_LINE
    events: list[Event] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    seal: str | None = None  # of the whole file
    signature: str | None = None
    newer: bool = False
    """Whether the record says that it is of a newer minor version."""
    full: bool = False
    """Whether enough was read to know that the rest is not worth it."""
    chain: str | None = ""
    size: int = 0
    line_ended: bool = True
    bytes_read: Any = field(default_factory=hashlib.sha256)

    def record(self) -> Record:
        if not self.count:
            self._problem(0, "the record is empty: the run was stopped before it began")
        return Record(
            events=self.events,
            sealed=self.seal is not None and not self.problems,
            problems=self.problems,
            seal=self.seal,
            signature=self.signature,
            lines=self.lines,
        )

    def take(self, number: int, line: bytes) -> None:
        self.count = number
        if len(line) > self.longest:
            self._problem(number, f"line {number} is longer than any that is read; the rest is not")
            self.full = True
            return
        if self.seal is not None:
            self._problem(number, f"line {number} was added after the record was sealed")
        data = parsed(line)
        if isinstance(data, dict) and "sealed" in data:
            self._check_seal(number, data["sealed"])
            self.signature = str(data["signature"]) if "signature" in data else None
        elif isinstance(data, dict) and isinstance(data.get("event"), dict):
            self._take_event(number, line, data["event"], data.get("seal"))
        elif line.endswith(b"\n"):
            self._problem(number, f"line {number} cannot be read: {_shown(line)}")
            self.chain = seal_of(line)
        else:
            cut = f"line {number} is cut: the writer was stopped in its middle"
            self.problems.append(Problem(number, cut, cut=True))
            return
        self.bytes_read.update(line)
        self.size += len(line)
        self.line_ended = line.endswith(b"\n")

    def _take_event(self, number: int, line: bytes, packed: dict[str, Any], seal: Any) -> None:
        what = f"line {number} ({describe(packed)})"
        before, self.chain = self.chain, seal if is_seal(seal) else None
        try:
            text = canonical(packed)
            # The line itself too: of a key that stands there twice we see the last one only.
            changed = not is_seal(seal) or line.rstrip(b"\n") != line_of(seal, text).rstrip(b"\n")
            if before is not None and (changed or seal != next_seal(before, text)):
                changes = "was changed after it was written, or a line before it was taken out"
                self._problem(number, f"{what} {changes}")
            self._add(number, event_of(unpack(packed, self._fetcher(number, what)), self.newer))
        except NewerRecord:
            raise
        except UnknownKind as error:
            if not self.newer:
                self._unfit(number, what, error)
        except (RecordError, ValueError) as error:
            self._unfit(number, what, error)
        except RecursionError:
            self._problem(number, f"{what} is nested too deeply to be read", unfit=True)

    def _add(self, number: int, event: Event) -> None:
        self.events.append(event)
        self.lines.append(number)
        if isinstance(event, RunStarted):
            self.newer = is_newer(event.format)

    def _check_seal(self, number: int, seal: Any) -> None:
        self.seal = str(seal)
        if self.seal != self.bytes_read.hexdigest():
            self._problem(number, "the seal does not match: the record was changed after its end")

    def _fetcher(self, number: int, what: str) -> Callable[[Any, Any], str]:
        folder = self.blobs
        if folder is None:
            return blob_named

        def fetch(name: Any, chars: Any) -> str:
            try:
                return blobs.text(folder, name, chars)
            except (OSError, ValueError) as error:
                self._problem(number, f"{what}: a text of {chars} characters is lost: {error}")
                return f"[lost: a text of {chars} characters, sha256 {name}]"

        return fetch

    def _unfit(self, number: int, what: str, error: Exception) -> None:
        self._problem(number, f"{what} is not an event that can be read: {error}", unfit=True)

    def _problem(self, number: int, text: str, *, unfit: bool = False) -> None:
        self.problems.append(Problem(number, text, unfit=unfit))
        self.full = self.full or len(self.problems) >= MOST_PROBLEMS


def _shown(line: bytes) -> str:
    return ascii(line[:60].decode("utf-8", "replace").rstrip())


def describe(event: dict[str, Any]) -> str:
    """Say in a few words which event this is; any dict will do."""
    kind, node, op, cell, turn, index, count = (
        _brief(event.get(name)) for name in ("kind", "node", "op", "cell", "turn", "index", "count")
    )
    words = kind.replace("_", " ")
    if kind == "call_ended":
        words = f"{op} in cell {cell}"
        if index.isdecimal() and count != "1":
            words += f", prompt {int(index) + 1} of {count}"
    elif kind == "cell_ran":
        words = f"cell {cell}"
    elif kind in ("replied", "prompted"):
        words = f"{'reply' if kind == 'replied' else 'prompt'} of turn {turn}"
    return words if node in ("None", ROOT) else f"{words} of node {node}"


def _brief(value: Any) -> str:
    return str(value)[:40] if isinstance(value, str | int | None) else type(value).__name__
