"""The record of a run: one line an event, each sealed with the lines before it.

A line is ``{"seal": chain, "event": {...}}``, where ``chain`` is the start of the SHA-256 of the
chain before it and the event's canonical JSON, so the first altered line is known. The last line
of a whole record is ``{"sealed": sha256 of all bytes before it}``. Long texts are in ``blobs/``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import RecordError
from ..events import ROOT, TRANSIENT, Event, to_dict
from . import files
from .equality import canonical, sha256
from .forms import NewerRecord, event_of
from .packing import blob_named, pack, unpack

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)
LONGEST_LINE = 1 << 27
"""Bytes of a line; a longer one is neither written nor read."""
LOOKED_AT = 1 << 24
"""Bytes of a line, and of an end, that are read where a record is only looked at."""
MOST_PROBLEMS = 1000
"""With more of them a file is no record, and the rest is not read."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SEAL = re.compile(r"[0-9a-f]{32}")
_SEAL_OF_LINE = re.compile(rb'\{"seal": "([0-9a-f]{32})"')


def _next_seal(before: str, event_json: str) -> str:
    return hashlib.sha256((before + event_json).encode("ascii")).hexdigest()[:32]


def _no_event(event: Event) -> str:
    return f"an event of the kind {event.kind} cannot be recorded"


def _line(seal: str, event_json: str) -> bytes:
    return f'{{"seal": "{seal}", "event": {event_json}}}\n'.encode("ascii")


class Journal:
    """A record being written. Every line has reached the operating system when ``write`` returns.

    All methods raise ``RecordError`` where the disk refuses.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._blobs = path.parent / "blobs"
        self._descriptor = descriptor
        self._lock()
        self._seal = ""
        self._bytes = hashlib.sha256()
        self._kept: set[str] = set()
        self._refused: RecordError | None = None
        """What the disk refused first: the record lacks it, so it gets no seal."""

    @classmethod
    def create(cls, path: Path) -> Journal:
        """A new journal, readable by its owner only. A file that is there is never written over."""
        try:
            files.make_folder(path.parent)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise RecordError(
                f"{path}: there is a record already; choose another folder or remove it"
            ) from error
        except OSError as error:
            raise files.refused(path, error) from error
        return cls(path, descriptor)

    @classmethod
    def reopen(cls, path: Path) -> tuple[Journal, list[Event]]:
        """The journal of a run that was killed, to be written on, and what it holds. A last line
        that was cut is taken away.

        Raises ``RecordError`` for one that has its seal, that another process writes, or that is
        damaged.
        """
        try:
            files.open_file(path).close()
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            raise RecordError(
                f"{path}: there is no record to go on with: {error.strerror}"
            ) from error
        journal = cls(path, descriptor)
        try:
            return journal, journal._catch_up()
        except BaseException:
            journal.close()
            raise

    def _catch_up(self) -> list[Event]:
        record = read(self.path)
        if record.seal is not None:
            raise RecordError(f"{self.path}: the run has ended: its record is sealed")
        damage = [problem for problem in record.problems if not problem.cut]
        if damage:
            raise RecordError(f"{self.path}: the record is damaged: {damage[0]}")
        lines = self.path.read_bytes().splitlines(keepends=True)
        if not lines[-1].endswith(b"\n"):
            os.truncate(self._descriptor, sum(map(len, lines[:-1])))
            lines.pop()
        for line in lines:
            self._bytes.update(line)
        last = _SEAL_OF_LINE.match(lines[-1]) if lines else None
        self._seal = last[1].decode("ascii") if last else ""
        return record.events

    def write(self, event: Event) -> None:
        """Append one event. Events of a transient kind are left out."""
        if isinstance(event, TRANSIENT):
            return
        text = self._text(event)
        if len(text) > LONGEST_LINE - 100:
            raise RecordError(
                f"{self.path}: a {event.kind} of {len(text):,} characters is too large for a record"
            )
        self._seal = _next_seal(self._seal, text)
        self._append(_line(self._seal, text))

    def _text(self, event: Event) -> str:
        """Of what can be read again only: one event that is not what it should be would spoil the
        record of all others."""
        try:
            event_of(data := to_dict(event))
        except RecordError as error:
            raise RecordError(f"{self.path}: {_no_event(event)}: {error}") from error
        try:
            return canonical(pack(data, self._keep))
        except (TypeError, ValueError) as error:
            raise RecordError(f"{self.path}: {_no_event(event)}: {error}") from error
        except RecursionError as error:
            why = f"{_no_event(event)}: it is nested too deeply"
            raise RecordError(f"{self.path}: {why}") from error

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise files.refused(self.path, error) from error

    def seal(self) -> str:
        """Append the seal, sync, close; gives the seal. Nothing can be written after it.

        Raises ``RecordError`` too where the file was removed or replaced meanwhile.
        """
        seal = self._bytes.hexdigest()
        try:
            if self._refused is not None:
                raise self._refused
            self._append(f'{{"sealed": "{seal}"}}\n'.encode("ascii"))
            self.sync()
            self._check_place()
        finally:
            self.close()
        return seal

    def _check_place(self) -> None:
        """A file that has no name any more can be written as any other."""
        try:
            there = os.path.samestat(os.lstat(self.path), os.fstat(self._descriptor))
        except OSError:
            there = False
        if not there:
            raise RecordError(
                f"{self.path}: the record of this run was removed, moved or replaced while it was "
                "written: it is not there"
            )

    def close(self) -> None:
        """Close without a seal, as after an error. Closing twice does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> None:
        """For as long as it is open: two processes must not write one record."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise RecordError(
                f"{self.path}: another process writes this record: the run still goes on"
            ) from error
        except OSError as error:  # a file system that has no locks
            log.debug("%s cannot be locked: %s", self.path, error)

    def _append(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._refused = self._refused or files.refused(self.path, error)
            raise self._refused from error
        self._bytes.update(line)

    def _keep(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        name = hashlib.sha256(data).hexdigest()
        if name not in self._kept:
            try:
                files.write(self._blobs / name, data)
            except RecordError as error:
                self._refused = self._refused or error
                raise
            self._kept.add(name)
        return name


@dataclass(frozen=True)
class Problem:
    """Something wrong with a record. ``line`` counts from 1; 0 is the file as a whole."""

    line: int
    text: str
    cut: bool = False
    """Whether it is only that the writer was stopped in the midst of the last line."""
    unfit: bool = False
    """Return whether an event is left out because it is not what it should be."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Record:
    """What a journal holds. ``seal`` is the hash in its last line, if it has one.

    ``sealed`` is true for a whole record: its seal is there and right, and nothing is missing.
    A record without a seal and without problems is that of a run that still goes on or was killed.
    """

    events: list[Event]
    sealed: bool
    problems: list[Problem]
    seal: str | None = None

    def check_fit(self, path: Path) -> None:
        """Raises ``RecordError`` where an event of it is not what it should be."""
        for problem in self.problems:
            if problem.unfit:
                raise RecordError(f"{path}: the record is damaged: {problem}")


def read(path: Path) -> Record:
    """All that can be read. What is wrong is told in ``problems``; only a file that is missing,
    cannot be opened or is of a newer format raises ``RecordError``."""
    reader = _Reader(path.parent / "blobs")
    with _reading(path) as file:
        number = 0
        while not reader.full and (line := file.readline(LONGEST_LINE + 1)):
            number += 1
            reader.take(number, line)
    return reader.record()


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """The file of a record. Raises ``RecordError``, also for what is raised inside."""
    try:
        with files.open_file(path) as file:
            yield file
    except OSError as error:
        raise RecordError(f"{path}: the record cannot be read: {error.strerror}") from error
    except NewerRecord as error:
        raise RecordError(f"{path}: {error}") from error


def beginning(path: Path, lines: int) -> list[Event]:
    """The events of the first lines, for a look at what a record is about. Raises RecordError."""
    reader = _Reader(path.parent / "blobs")
    with _reading(path) as file:
        for number in range(1, lines + 1):
            if line := file.readline(LOOKED_AT):
                reader.take(number, line)
    return reader.events


@dataclass(frozen=True)
class Ending:
    """The events of a record's last lines; ``sealed`` tells that a seal stands behind them, not
    that it is right."""

    events: list[Event]
    sealed: bool


def ending(path: Path, lines: int) -> Ending:
    """The last lines, for a look at how a run ended, however long it was. Raises RecordError.

    Lines that cannot be read are left out, and long texts are named, not fetched. Nothing is
    checked against the seals: that takes the whole record (``read``).
    """
    with _reading(path) as file:
        parsed = [_parsed(line) for line in _last_lines(file, lines)]
    rows = [data for data in parsed if isinstance(data, dict)]
    return Ending(
        events=[event for row in rows if (event := _event(row)) is not None],
        sealed=bool(rows) and "sealed" in rows[-1],
    )


def _last_lines(file: BinaryIO, lines: int) -> list[bytes]:
    """At most so many, of the last ``LOOKED_AT`` bytes at most."""
    start = file.seek(0, os.SEEK_END)
    least = max(0, start - LOOKED_AT)
    tail = b""
    while start > least and tail.count(b"\n") <= lines:
        size = min(max(len(tail), 4096), start - least)
        start = file.seek(start - size)
        tail = file.read(size) + tail
    whole = tail.split(b"\n")[:-1] if tail.endswith(b"\n") else tail.split(b"\n")
    return whole[-lines:]


def _event(row: dict[str, Any]) -> Event | None:
    packed = row.get("event")
    try:
        return event_of(unpack(packed, blob_named)) if isinstance(packed, dict) else None
    except (RecordError, ValueError, RecursionError):
        return None


@dataclass
class _Reader:
    blobs: Path
    events: list[Event] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    lines: int = 0
    seal: str | None = None  # of the whole file
    _before: str | None = ""  # the chain up to here; None where a line could not be read
    _bytes: Any = field(default_factory=hashlib.sha256)

    def record(self) -> Record:
        if not self.lines:
            self._problem(0, "the record is empty: the run was stopped before it began")
        return Record(
            self.events, self.seal is not None and not self.problems, self.problems, self.seal
        )

    full = False
    """Return whether enough was read to know that the rest is not worth it."""

    def take(self, number: int, line: bytes) -> None:
        self.lines = number
        if len(line) > LONGEST_LINE:
            self._problem(number, f"line {number} is longer than any of ours; the rest is not read")
            self.full = True
            return
        if self.seal is not None:
            self._problem(number, f"line {number} was added after the record was sealed")
        data = _parsed(line)
        if isinstance(data, dict) and "sealed" in data:
            self._check_seal(number, data["sealed"])
        elif isinstance(data, dict) and isinstance(data.get("event"), dict):
            self._take_event(number, line, data["event"], data.get("seal"))
        else:
            self._take_unreadable(number, line)
        self._bytes.update(line)

    def _take_event(self, number: int, line: bytes, packed: dict[str, Any], seal: Any) -> None:
        what = f"line {number} ({describe(packed)})"
        before, self._before = self._before, seal if _is_seal(seal) else None
        try:
            text = canonical(packed)
            # The line itself too: of a key that stands there twice we see the last one only.
            changed = not _is_seal(seal) or line.rstrip(b"\n") != _line(seal, text).rstrip(b"\n")
            if before is not None and (changed or seal != _next_seal(before, text)):
                changes = "was changed after it was written, or a line before it was taken out"
                self._problem(number, f"{what} {changes}")
            self.events.append(event_of(unpack(packed, self._fetcher(number, what))))
        except NewerRecord:
            raise
        except (RecordError, ValueError) as error:
            self._problem(number, f"{what} is not an event that can be read: {error}", unfit=True)
        except RecursionError:
            self._problem(number, f"{what} is nested too deeply to be read", unfit=True)

    def _take_unreadable(self, number: int, line: bytes) -> None:
        if line.endswith(b"\n"):
            self._problem(number, f"line {number} cannot be read: {_shown(line)}")
        else:
            cut = f"line {number} is cut: the writer was stopped in its middle"
            self.problems.append(Problem(number, cut, cut=True))
        seal = _SEAL_OF_LINE.match(line)
        self._before = seal[1].decode("ascii") if seal else None

    def _check_seal(self, number: int, seal: Any) -> None:
        self.seal = str(seal)
        if self.seal != self._bytes.hexdigest():
            self._problem(number, "the seal does not match: the record was changed after its end")

    def _fetcher(self, number: int, what: str) -> Any:
        def fetch(name: Any, chars: Any) -> str:
            try:
                return blob(self.blobs, name, chars)
            except (OSError, ValueError) as error:
                self._problem(number, f"{what}: a text of {chars} characters is lost: {error}")
                return f"[lost: a text of {chars} characters, sha256 {name}]"

        return fetch

    def _problem(self, number: int, text: str, *, unfit: bool = False) -> None:
        self.problems.append(Problem(number, text, unfit=unfit))
        self.full = self.full or len(self.problems) >= MOST_PROBLEMS


def blob(blobs: Path, name: Any, chars: Any) -> str:
    """Return the text of so many ``chars`` kept under this name. Raises ``OSError`` and
    ``ValueError``."""
    # The name comes from the file: nothing but a hash may become part of a path.
    if not isinstance(name, str) or not _SHA256.fullmatch(name):
        raise ValueError(f"not a sha256: {ascii(name)[:80]}")
    if not isinstance(chars, int) or not 0 <= chars <= files.LARGEST_FILE:
        raise ValueError(f"not a number of characters: {ascii(chars)[:80]}")
    # Of a character UTF-8 has four bytes at most.
    text = files.read(blobs / name, 4 * chars).decode("utf-8", "surrogatepass")
    if sha256(text) != name:
        raise ValueError(f"blobs/{name} was changed after it was written")
    return text


def _is_seal(seal: Any) -> bool:
    return isinstance(seal, str) and _SEAL.fullmatch(seal) is not None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _shown(line: bytes) -> str:
    return ascii(line[:60].decode("utf-8", "replace").rstrip())


def describe(event: dict[str, Any]) -> str:
    """In a few words, which event this is; any dict will do."""
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
