"""A journal being written."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

from ...errors import RecordError
from ...events import TRANSIENT, Event, RunEnded, to_dict
from .. import files
from ..equality import canonical
from ..forms import event_of
from ..packing import pack
from .lines import LONGEST_LINE, last_line, line_of, next_seal
from .reading import Record, damage, errors_named, scan

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)


class RunHasEnded(RecordError):
    """A record that is to be gone on with has its end. ``ended`` is that event, if it was read."""

    def __init__(self, message: str, ended: RunEnded | None) -> None:
        super().__init__(message)
        self.ended = ended


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
        """Begin a journal, readable by its owner only. A file that is there is not written over."""
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
        """Return the journal of a run that was killed, to be written on, and its events. A last
        line that was cut is taken away.

        Raises ``RunHasEnded`` for one that has its end and ``RecordError`` for one that another
        process writes or that is damaged.
        """
        try:
            flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            descriptor = files.opened(path, flags)
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
        with errors_named(self.path), os.fdopen(os.dup(self._descriptor), "rb") as file:
            reader = scan(self.path, file)
        record = reader.record()
        self._check_open(record)
        if record.cut:
            os.truncate(self._descriptor, reader.size)
        self._bytes, self._seal = reader.bytes_read, reader.chain or ""
        if not reader.line_ended:
            self._append(b"\n")
        return record.events

    def _check_open(self, record: Record) -> None:
        last = record.events[-1] if record.events else None
        ended = last if isinstance(last, RunEnded) else None
        if record.seal is not None or ended is not None:
            raise RunHasEnded(f"{self.path}: the run has ended: its record is sealed", ended)
        if (problem := damage(record.problems)) is not None:
            raise RecordError(f"{self.path}: the record is damaged: {problem}")

    def write(self, event: Event) -> None:
        """Append one event. Events of a transient kind are left out."""
        if isinstance(event, TRANSIENT):
            return
        text = self._text(event)
        if len(text) > LONGEST_LINE - 100:
            raise RecordError(
                f"{self.path}: a {event.kind} of {len(text):,} characters is too large for a record"
            )
        self._append_event(text)

    def copy(self, packed: dict[str, Any]) -> None:
        """Append an event as it stands in another record of this folder, unknown fields too."""
        self._append_event(canonical(packed))

    def _append_event(self, text: str) -> None:
        self._seal = next_seal(self._seal, text)
        self._append(line_of(self._seal, text))

    def _text(self, event: Event) -> str:
        """Return the event's JSON. Raises ``RecordError`` where it could not be read again: one
        such event would spoil the record of all others."""
        what = f"{self.path}: an event of the kind {event.kind} cannot be recorded"
        try:
            event_of(data := to_dict(event))
        except RecordError as error:
            raise RecordError(f"{what}: {error}") from error
        try:
            return canonical(pack(data, self._keep))
        except (TypeError, ValueError) as error:
            raise RecordError(f"{what}: {error}") from error
        except RecursionError as error:
            raise RecordError(f"{what}: it is nested too deeply") from error

    def sync(self) -> None:
        """Wait until all that was written is on the disk."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise files.refused(self.path, error) from error

    def seal(self) -> str:
        """Append the seal, sync and close; return the seal. Nothing can be written after it.

        Raises ``RecordError`` too where the file was removed or replaced meanwhile.
        """
        seal = self._bytes.hexdigest()
        try:
            if self._refused is not None:
                raise self._refused
            self._append(last_line(seal))
            self.sync()
            self._check_place()
        finally:
            self.close()
        return seal

    def _check_place(self) -> None:
        """Raise ``RecordError`` where the file has lost its name, and is written in vain."""
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
        """Lock it for as long as it is open: two processes must not write one record."""
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
