"""The text files of a folder: which they are, how each is read, and what is left out."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import ContextError
from . import detect

if TYPE_CHECKING:
    from .exclusion import Exclusion

MAX_FILES = 100_000
_NAMED = 5
"""The most names that a note gives for one reason."""
_ESCAPED = "What is not UTF-8 stands as \\xNN."


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A file of a folder context: its path from there, in posix form, and how it is read."""

    name: str
    size: int
    sha256: str
    encoding: str
    errors: str
    characters: int
    notice: str | None


@dataclass
class Listing:
    """The files of a folder context, sorted by name, and by reason the paths that it leaves out."""

    files: list[TextFile] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [file.name for file in self.files]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def sha256(self) -> str:
        """Return the hash of the list of path, size and hash of each file."""
        sha = hashlib.sha256()
        for file in self.files:
            sha.update(json.dumps([file.name, file.size, file.sha256]).encode() + b"\n")
        return sha.hexdigest()

    def leave_out(self, path: str, reason: str) -> None:
        self.skipped.setdefault(reason, []).append(path)

    def packed(self) -> bytes:
        """Return what the guest must know of each file, as JSON."""
        rows = [[file.name, file.encoding, file.errors, file.characters] for file in self.files]
        return json.dumps(rows).encode()

    @property
    def notice(self) -> str | None:
        """Return how many paths are left out for which reason, in a sentence."""
        counts = ", ".join(f"{len(paths):,} {why}" for why, paths in sorted(self.skipped.items()))
        return f"Skipped: {counts}." if counts else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the names of what is left out, and what is not UTF-8, in sentences."""
        by_reason = [f"{why}: {_some(paths)}" for why, paths in sorted(self.skipped.items())]
        odd = [f"{file.name} ({file.notice})" for file in self.files if file.notice]
        notes = [f"Files that are not plain UTF-8: {_some(odd)}."] if odd else []
        if by_reason:
            notes.append(f"Skipped are: {'; '.join(by_reason)}.")
        if any(why in self.skipped for why in ("hidden", "made by tools", "named by .gitignore")):
            notes.append("The option --exclude '!NAME' takes in what is skipped for its name.")
        return tuple(notes)


def listing(folder: Path, exclude: Sequence[str] = (), *, reading: int = 2) -> Listing:
    """Read the files of a folder, and return which of them a folder context has.

    Paths that ``Exclusion`` names are left out, and so are binary files, links to folders and links
    that leave the folder. A file that vanishes or cannot be read meanwhile is one of them. By the
    first version of ``reading`` only hidden paths are left out by name, and all files are UTF-8.
    Raises ``ContextError`` over ``MAX_FILES``, and ``OSError`` where the folder cannot be read.
    """
    found = Listing()
    os.scandir(folder).close()
    from .exclusion import Exclusion

    rules = None if reading == 1 else Exclusion(folder, exclude)
    for seen, (path, name) in enumerate(_walk(folder, rules, found)):
        if seen >= MAX_FILES:
            raise ContextError(
                f"{folder} has more than {MAX_FILES:,} files: give a smaller folder, or leave out "
                "what is not needed with --exclude"
            )
        try:
            file = _text_file(path, name, as_utf8=reading == 1)
        except FileNotFoundError:
            found.leave_out(name, "gone")
        except OSError:
            found.leave_out(name, "unreadable")
        else:
            if isinstance(file, TextFile):
                found.files.append(file)
            else:
                found.leave_out(name, file)
    found.files.sort(key=lambda file: file.name)
    return found


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(_printable(name)[:120] for name in names[:_NAMED]) + more


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _walk(folder: Path, rules: Exclusion | None, found: Listing) -> Iterator[tuple[str, str]]:
    """Yield the path and the relative path of each file that no rule leaves out. What it leaves out
    of folders is not looked into, and links to folders are not followed."""

    def failed(error: OSError) -> None:
        gone = isinstance(error, FileNotFoundError)
        name = _relative(str(error.filename), folder)
        found.leave_out(f"{name}/", "gone" if gone else "unreadable folders")

    for here, folders, names in os.walk(folder, onerror=failed):
        relative = "" if here == str(folder) else _relative(here, folder)
        if rules is not None and rules.enter(relative, names):
            found.leave_out(f"{relative}/", "made by tools")
            folders.clear()
            continue
        prefix = f"{relative}/" if relative else ""
        kept = [name for name in sorted(folders) if _is_kept(prefix + name + "/", rules, found)]
        links = [name for name in kept if os.path.islink(os.path.join(here, name))]
        for name in links:
            found.leave_out(prefix + name, "links to folders")
        folders[:] = [name for name in kept if name not in links]
        for name in sorted(names):
            if _is_kept(prefix + name, rules, found):
                yield os.path.join(here, name), prefix + name


def _relative(path: str, folder: Path) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _is_kept(relative: str, rules: Exclusion | None, found: Listing) -> bool:
    if rules is None:
        is_hidden = os.path.basename(relative.rstrip("/")).startswith(".")
        reason = "hidden" if is_hidden else None
    else:
        reason = rules.reason(relative)
    if reason is not None:
        found.leave_out(relative, reason)
    return reason is None


def _text_file(path: str, name: str, *, as_utf8: bool) -> TextFile | str:
    """Return a file as a folder context has it, or why it is left out."""
    if os.path.islink(path):
        root = os.path.realpath(path.removesuffix(name.replace("/", os.sep)))
        if os.path.commonpath([os.path.realpath(path), root]) != root:
            return "links that leave the folder"
    if not os.path.isfile(path):
        os.lstat(path)  # raises for one that is gone, and where it may not even be looked at
        return "not files"
    with open(path, "rb") as file:
        head = file.read(detect.HEAD_BYTES)
    if detect.is_binary(head, marked=not as_utf8):
        return "binary"
    # A short file is not read again.
    short = len(head) < detect.HEAD_BYTES
    chunks = detect.chunks_of(None if short else Path(path), head)
    seen = detect.detect(chunks)
    # Few bytes that fit nothing are no text on their own, but among texts they are one.
    if as_utf8 or (seen.encoding is None and not detect.is_binary(head, marked=False)):
        seen = replace(seen, encoding="utf-8-sig", errors="backslashreplace", notice=_ESCAPED)
    if seen.encoding is None:
        return "binary"
    pieces = codecs.iterdecode(chunks(), seen.encoding, seen.errors)
    return TextFile(
        name=name,
        size=seen.size,
        sha256=seen.sha256,
        encoding=seen.encoding,
        errors=seen.errors,
        characters=sum(map(len, pieces)),
        notice=seen.notice,
    )
