"""What the input of a run becomes: the bytes, and how the guest must read them.

Nothing here holds a file in memory but JSON, which is parsed to see whether it can be. All of it
blocks: a caller on the event loop runs it in a thread.
"""

from __future__ import annotations

import codecs
import difflib
import hashlib
import io
import json
import math
import os
import pickle
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ...errors import ContextError, RecordError
from . import detect, folders

Kind: TypeAlias = Literal["text", "bytes", "json", "jsonl", "csv", "folder", "pickle"]

MAX_JSON_BYTES = 100_000_000
"""Larger ``.json`` files stay text: parsing one to see whether it can be takes ten times that."""
_CHUNK_BYTES = 1 << 18
_MAX_DEPTH = 100  # JSON and pickle both recurse; deeper values go by pickle, which says no itself
_BY_SUFFIX: dict[str, Kind] = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Source:
    """A context on its way to a kernel: bytes at a path or in memory, and how to read them.

    ``sha256`` and ``size`` are of the bytes as stored; a folder's of its manifest (relative path,
    size and hash of each file) and of its files. ``encoding`` and ``errors`` hold for the text
    kinds. ``notice`` is for the user and the LM; ``name`` is for display.
    """

    kind: Kind
    path: Path | None
    data: bytes | None = field(repr=False)
    sha256: str
    size: int
    encoding: str = "utf-8"
    errors: str = "surrogatepass"
    notice: str | None = None
    name: str

    def spec(self) -> dict[str, Any]:
        """Plain JSON data for the guest and the record."""
        return {
            "kind": self.kind,
            "sha256": self.sha256,
            "size": self.size,
            "encoding": self.encoding,
            "errors": self.errors,
            "name": self.name,
            "path": None if self.path is None else str(self.path),
        }


def from_path(path: str | Path, *, encoding: str | None = None) -> Source:
    """The source for a file or a folder; ``"-"`` is standard input, read to its end.

    ``encoding`` overrides what would be detected. Raises ``ContextError``.
    """
    if str(path) == "-":
        if sys.stdin is None:
            raise ContextError("standard input is closed: there is nothing to read from -")
        data = sys.stdin.buffer.read()
        return _from_bytes(None, data, encoding, name="<stdin>", suffix="")
    found = Path(path).expanduser() if str(path).startswith("~/") else Path(path)
    try:
        found = Path(os.path.abspath(found))
        mode = found.stat().st_mode
        if stat.S_ISDIR(mode):
            return _from_folder(found, encoding)
        if not stat.S_ISREG(mode):
            raise ContextError(
                f"{path}: is a pipe, socket or device, no file; pipe it in and give - as the path"
            )
        return _from_bytes(found, None, encoding, name=found.name, suffix=found.suffix.lower())
    except FileNotFoundError as missing:
        raise ContextError(f"{path}: there is no such file or folder{_near(found)}") from missing
    except OSError as unreadable:
        raise ContextError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    except ValueError as bad:  # a NUL character in the path
        raise ContextError(f"{str(path)!r} is no path: {bad}") from bad


def from_value(value: object) -> Source:
    """The source for a Python value: the kernel gets an equal value of the same type.

    A subclass of ``str`` or ``bytes`` arrives as plain ``str`` or ``bytes``. Raises
    ``ContextError`` for a ``Path`` (use ``from_path``) and for what cannot be pickled.
    """
    if isinstance(value, Path):
        raise ContextError(
            f"the context is a Path ({value}): use from_path(...) to read the file, "
            "or str(...) if the path itself is the text"
        )
    if isinstance(value, str):
        notice = None if value else "The context is empty."
        return _in_memory("text", _utf8(value), "str", notice)
    if isinstance(value, bytes | bytearray | memoryview):
        return _in_memory("bytes", bytes(value), type(value).__name__)
    name = type(value).__name__
    if type(value) in (list, dict) and _is_plain_json(value):
        return _in_memory("json", _utf8(json.dumps(value, ensure_ascii=False)), name)
    return _in_memory("pickle", _pickled(value), name)


def find(spec: dict[str, Any], near: Path) -> tuple[Source | None, str]:
    """The bytes of a recorded ``spec`` again, and one sentence: where, or why not.

    Looked for by hash in ``spec["text"]`` (the bytes as stored, decoded as UTF-8 with
    surrogatepass), ``near/"blobs"``, the recorded path, and the same name in ``near``. A path
    whose content changed is no match. Raises ``RecordError`` for a spec that is none.
    """
    wanted = _checked(spec)
    reasons = []
    if isinstance(spec.get("text"), str):
        data = _utf8(spec["text"])
        if hashlib.sha256(data).hexdigest() == wanted.sha256:
            return replace(wanted, path=None, data=data), "found in the record"
        reasons.append("the text in the record was changed")
    for path in _places(spec, near):
        try:
            digest = _hash_at(path, wanted.kind)
        except (OSError, ContextError) as problem:
            reasons.append(f"{path} cannot be read ({problem})")
            continue
        if digest == wanted.sha256:
            return replace(wanted, path=path), f"found at {path}"
        if digest is not None:
            reasons.append(f"{path} has other content than when it was recorded")
    return None, "; ".join(reasons) or f"{wanted.name} is neither in the record nor on this machine"


def _in_memory(kind: Kind, data: bytes, name: str, notice: str | None = None) -> Source:
    digest = hashlib.sha256(data).hexdigest()
    return Source(
        kind=kind, path=None, data=data, sha256=digest, size=len(data), notice=notice, name=name
    )


def _utf8(text: str) -> bytes:
    # Plain JSON escapes would merge two lone surrogates into one character; these bytes do not.
    return str.encode(text, "utf-8", "surrogatepass")


def _chunks(path: Path | None, data: bytes | None) -> detect.Chunks:
    def read() -> Iterator[bytes]:
        with io.BytesIO(data or b"") if path is None else path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    return read


def _from_bytes(
    path: Path | None, data: bytes | None, encoding: str | None, *, name: str, suffix: str
) -> Source:
    chunks = _chunks(path, data)
    try:
        found = detect.check_encoding(chunks, encoding) if encoding else detect.detect(chunks)
    except LookupError as unknown:
        raise ContextError(
            f"{encoding!r} is no text encoding: give a name such as cp1252"
        ) from unknown
    except UnicodeError as misfit:
        raise ContextError(
            f"{name} is not {encoding}: {misfit}; leave the encoding out or give the right one"
        ) from misfit
    source = Source(
        kind="bytes" if found.encoding is None else "text",
        path=path, data=data, sha256=found.sha256, size=found.size,
        encoding=found.encoding or "utf-8", errors=found.errors, notice=found.notice, name=name,
    )  # fmt: skip
    if found.encoding is None:
        return source
    if found.size <= 4 and not b"".join(chunks()).decode(source.encoding, source.errors):
        return replace(source, notice="The context is empty.")
    return _structured(source, _BY_SUFFIX.get(suffix, "text"), chunks)


def _structured(source: Source, kind: Kind, chunks: detect.Chunks) -> Source:
    """The source as the kind its file name promises, where the text keeps that promise."""
    if kind == "json":
        problem = _json_problem(source, chunks)
        return _with_notice(source, problem) if problem else replace(source, kind=kind)
    if kind == "jsonl":
        good, bad, first = _check_lines(source, chunks)
        if not good:
            return _with_notice(source, "No line of it is JSON, so it stands as text.")
        if bad:
            lines = ", ".join(map(str, first)) + (", …" if bad > len(first) else "")
            source = _with_notice(source, f"Not JSON, kept as text: line {lines} ({bad:,} in all).")
    return replace(source, kind=kind)


def _with_notice(source: Source, notice: str) -> Source:
    return replace(source, notice=f"{source.notice} {notice}" if source.notice else notice)


def _json_problem(source: Source, chunks: detect.Chunks) -> str | None:
    """Why the text is no JSON object or array, in words; None if it is one."""
    if source.size > MAX_JSON_BYTES:
        return f"JSON over {MAX_JSON_BYTES // 1_000_000} MB is not parsed: it stands as text."
    try:
        value = json.loads(b"".join(chunks()).decode(source.encoding, source.errors))
    except RecursionError:
        return "The JSON is nested too deeply to be parsed: it stands as text."
    except ValueError as bad:
        return f"It is not valid JSON ({bad}), so it stands as text."
    if isinstance(value, dict | list):
        return None
    return "The JSON is one bare value: it stands as text."


def _check_lines(source: Source, chunks: detect.Chunks) -> tuple[int, int, list[int]]:
    """How many lines are JSON, how many are not, and the numbers of the first five of those."""
    good, bad = 0, 0
    first: list[int] = []
    decoder = codecs.iterdecode(chunks(), source.encoding, source.errors)
    for number, line in enumerate(_lines(decoder), 1):
        if not line.strip():
            continue
        try:
            json.loads(line)
            good += 1
        except (ValueError, RecursionError):
            bad += 1
            first += [number] if len(first) < 5 else []
    return good, bad, first


def _lines(pieces: Iterator[str]) -> Iterator[str]:
    """The lines of a text that comes in pieces; only a line feed ends one."""
    held: list[str] = []
    for piece in pieces:
        *whole, rest = piece.split("\n")
        for line in whole:
            yield "".join([*held, line])
            held.clear()
        held.append(rest)
    yield "".join(held)


def _near(path: Path) -> str:
    """The names like this one in its folder, as the end of a message."""
    if not path.parent.is_dir():
        return f" (nor the folder {path.parent})"
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names[:10_000], n=3)
    return f"; near it: {', '.join(close)}" if close else f" in {path.parent}"


def _from_folder(folder: Path, encoding: str | None) -> Source:
    if encoding is not None:
        raise ContextError(f"{folder} is a folder: an encoding can be given for one file only")
    files, notice = folders.list_files(folder)
    if not files:
        notice = " ".join(filter(None, ("The folder has no text files.", notice)))
    digest, size = folders.manifest(folder, files)
    return Source(
        kind="folder", path=folder, data=None, sha256=digest, size=size,
        errors="backslashreplace", notice=notice, name=folder.name,
    )  # fmt: skip


def _is_plain_json(value: object) -> bool:
    """Whether JSON gives back an equal value of the same types, nothing shared and no cycles."""
    seen: set[int] = set()
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        if type(item) in (list, dict):
            if id(item) in seen or depth > _MAX_DEPTH:
                return False
            seen.add(id(item))
            if type(item) is dict and not all(type(key) is str for key in item):
                return False
            inside = item.values() if type(item) is dict else item
            waiting.extend((part, depth + 1) for part in inside)
        elif not _is_plain_leaf(item):
            return False
    return True


def _is_plain_leaf(item: object) -> bool:
    if isinstance(item, float) and type(item) is float:
        return math.isfinite(item)
    if isinstance(item, int) and type(item) is int:
        return item.bit_length() < 10_000  # Python refuses to write integers of over 4,300 digits
    return item is None or type(item) in (str, bool)


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        cls = obj if isinstance(obj, type) else type(obj)
        if "__main__" in (cls.__module__, getattr(obj, "__module__", None)):
            raise pickle.PicklingError(
                f"{cls.__qualname__} is defined in the main program, which a kernel cannot import"
            )
        return NotImplemented


def _pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=5).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as problem:
        raise ContextError(
            f"the context is a {type(value).__name__}, which cannot be handed to a kernel: "
            f"{problem}; give text, bytes, lists and dicts, or a DataFrame"
        ) from problem
    return buffer.getvalue()


def _checked(spec: dict[str, Any]) -> Source:
    """The spec as a source with no bytes yet; a record may come from anyone."""
    kind: Any = spec.get("kind")
    digest, size = spec.get("sha256"), spec.get("size")
    texts = [spec.get(key) for key in ("encoding", "errors", "name")]
    is_hash = isinstance(digest, str) and len(digest) == 64 and digest.isalnum()
    is_text = all(isinstance(text, str) for text in texts)
    if kind not in get_args(Kind) or not is_hash or not isinstance(size, int) or not is_text:
        raise RecordError(f"the record has a context that cannot be read: {repr(spec)[:200]}")
    return Source(
        kind=kind, path=None, data=None, sha256=str(digest), size=size,
        encoding=str(texts[0]), errors=str(texts[1]), name=str(texts[2]),
    )  # fmt: skip


def _places(spec: dict[str, Any], near: Path) -> list[Path]:
    places = [near / "blobs" / str(spec["sha256"])]
    if isinstance(spec.get("path"), str):
        places += [near / spec["path"], near / Path(spec["path"]).name]
    return list(dict.fromkeys(places))


def _hash_at(path: Path, kind: Kind) -> str | None:
    """The hash of what is at a path, as ``Source.sha256``; None if there is no such thing."""
    if kind == "folder" and path.is_dir():
        return folders.manifest(path, folders.list_files(path)[0])[0]
    return folders.hash_file(path) if kind != "folder" and path.is_file() else None
