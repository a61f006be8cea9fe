"""A context on its way to a kernel, and how the guest must read it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "bytes", "json", "jsonl", "csv", "folder", "pickle"]
READING = 2
"""The version of the rules by which tables and folders are read. By the first one, of records that
name none, pandas chose the types of a table's columns, and a folder's files all were UTF-8."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A context on its way to a kernel: bytes at a path or in memory, and how to read them.

    ``sha256`` and ``size`` are of the bytes as stored; a folder's of the list of its files
    (relative path, size and hash of each) and of these. Its ``data`` is that list for the guest
    (``folders.Listing.packed``), ``exclude`` the patterns of what it leaves out. ``encoding`` and
    ``errors`` hold for the text kinds. ``notice`` is for the user and the LM, and so are ``notes``,
    in more words; ``name`` is for display.
    """

    kind: Kind
    path: Path | None
    data: bytes | None = field(repr=False)
    sha256: str
    size: int
    encoding: str = "utf-8"
    errors: str = "surrogatepass"
    notice: str | None = None
    notes: tuple[str, ...] = ()
    name: str
    reading: int = READING
    exclude: tuple[str, ...] = ()

    def spec(self) -> dict[str, Any]:
        """Return the source without its bytes as JSON data, for the guest and the record."""
        read: dict[str, Any] = {"reading": self.reading} if self.kind in ("csv", "folder") else {}
        read |= {"exclude": list(self.exclude)} if self.kind == "folder" else {}
        return {
            "kind": self.kind,
            "sha256": self.sha256,
            "size": self.size,
            "encoding": self.encoding,
            "errors": self.errors,
            "name": self.name,
            "path": None if self.path is None else str(self.path),
            **read,
        }


def in_memory(kind: Kind, data: bytes, name: str, notice: str | None = None) -> Source:
    digest = hashlib.sha256(data).hexdigest()
    return Source(
        kind=kind, path=None, data=data, sha256=digest, size=len(data), notice=notice, name=name
    )


def utf8(text: str) -> bytes:
    # Plain JSON escapes would merge two lone surrogates into one character; these bytes do not.
    return str.encode(text, "utf-8", "surrogatepass")
