"""Telling whether the files of a run are as they were written, and who has signed them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import RecordError, UsageError
from .. import files, journal
from ..files import JOURNAL
from ..recording import Recording
from . import signed_files, ssh_keygen
from .signed_files import SignedFile

UNSIGNED = "sealed, not signed: a check against accidents"
WRONG = "its signature is not of what it says now"


@dataclass(frozen=True)
class Verified:
    """Knows one file. ``signer`` is the kind and the fingerprint of the key that has
    signed it as it is now. ``faults`` are whole sentences; with none of them it is as it was."""

    path: Path
    kind: str
    signer: str | None
    faults: tuple[str, ...]

    @property
    def words(self) -> str:
        """Say it on one line."""
        if self.faults:
            return "; ".join(self.faults[:3])
        if self.signer:
            return f"signed by {self.signer}"
        return UNSIGNED if self.kind == "record" else "not signed"


def files_of(path: Path) -> list[Path]:
    """Return the file, or of a run's folder its record, its notebooks and the pages in it. Raises
    ``RecordError`` for a folder without a record."""
    if not path.is_dir():
        return [path]
    if not (path / JOURNAL).is_file():
        raise RecordError(f"{path}: no {JOURNAL} is there: it is no run's folder")
    made = [*path.glob("*.ipynb"), *path.glob("calls/*.ipynb"), *path.glob("*.html")]
    return [path / JOURNAL, *sorted(made)]


def sign(path: Path, key: Path) -> Iterator[Verified]:
    """Sign a file, or all of a run's folder, which must be as they were written; yield what was
    done. A signature that was there is replaced. Raises ``RecordError`` and ``UsageError``.
    Blocks."""
    for each in files_of(path):
        file = signed_files.read(each)
        if faults := _faults(each, file):
            raise RecordError(f"{each}: it was not signed: {'; '.join(faults[:3])}")
        signature = ssh_keygen.sign(file.statement, key)
        mode = each.stat().st_mode
        files.write(each, file.signed(signature), sync=True)
        each.chmod(mode)
        signer = ssh_keygen.signer(file.statement, signature)
        yield Verified(path=each, kind=file.kind, signer=signer, faults=())


def verify(path: Path, by: Path | None = None) -> Iterator[Verified]:
    """Yield what is known of a file, or of each in a run's folder. With ``by`` one that this public
    key has not signed has a fault. Raises ``RecordError`` and ``UsageError``. Blocks."""
    for each in files_of(path):
        file = signed_files.read(each)
        signer = ssh_keygen.signer(file.statement, file.signature or "")
        faults = _faults(each, file)
        if file.signature is not None and signer is None:
            faults.append(WRONG)
        elif by is not None and not (
            file.signature and ssh_keygen.is_by(file.statement, file.signature, by)
        ):
            faults.append(f"it is not signed by {by}" + (f", but by {signer}" if signer else ""))
        yield Verified(path=each, kind=file.kind, signer=signer, faults=tuple(faults))


def _faults(path: Path, file: SignedFile) -> list[str]:
    """Return what is wrong with a record; of other files nothing is known but by a signature."""
    return [str(each) for each in journal.read(path).problems] if file.kind == "record" else []


def in_words(recording: Recording) -> str:
    """Return what the seal of a record is worth, in words. Blocks where it is signed."""
    if recording.sealed is None:
        return "notebook only, no record"
    if not recording.sealed or recording.seal is None:
        return "not sealed"
    if recording.signature is None:
        return UNSIGNED
    statement = signed_files.statement("record", recording.seal)
    try:
        signer = ssh_keygen.signer(statement, recording.signature)
    except UsageError as error:  # it may be read where ssh-keygen is not
        return f"sealed; who has signed it is not known: {error}"
    return f"signed by {signer}" if signer else f"sealed, but {WRONG}"
