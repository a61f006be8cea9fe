"""The source of a file, a folder or standard input: its encoding and kind are looked for in it."""

from __future__ import annotations

import codecs
import difflib
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import ContextError
from . import detect
from .folders import listing
from .json_text import JsonLook
from .source import Kind, Source

MAX_JSON_BYTES = 100_000_000
"""Larger ``.json`` files stay text: parsing one to see whether it can be takes ten times that."""
_BY_SUFFIX: dict[str, Kind] = {
    ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"
}  # fmt: skip


def from_path(
    path: str | Path, *, encoding: str | None = None, exclude: Sequence[str] = ()
) -> Source:
    """Return the source for a file or a folder; ``"-"`` is standard input, read to its end.

    ``encoding`` overrides what would be detected. ``exclude`` are patterns, in the language of
    ``.gitignore``, of what a folder leaves out; ``!name`` takes in what it leaves out by default.
    Raises ``ContextError``, and ``UsageError`` for a pattern that is none.
    """
    if not str(path):  # which abspath takes for the working folder
        raise ContextError(
            "the path of the context is empty: give a file, a folder (. is this one)"
        )
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
            return _from_folder(found, encoding, exclude)
        if not stat.S_ISREG(mode):
            raise ContextError(
                f"{path}: is a pipe, socket or device, no file; pipe it in and give - as the path"
            )
        return _from_bytes(found, None, encoding, name=found.name, suffix=found.suffix.lower())
    except FileNotFoundError as missing:
        problem = url_problem(path) or f"there is no such file or folder{_near(found)}"
        raise ContextError(f"{path}: {problem}") from missing
    except OSError as unreadable:
        raise ContextError(f"{path}: cannot be read: {unreadable.strerror}") from unreadable
    except ValueError as bad:  # a NUL character in the path
        raise ContextError(f"{str(path)!r} is no path: {bad}") from bad


def url_problem(path: str | Path) -> str | None:
    """Return in words that a path is a URL, and what to do; None where it is none. A ``Path`` has
    one slash of it left."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", str(path))
    if scheme is None:
        return None
    if scheme.group(1).lower() == "file":
        return "it is a URL: give the path alone, without file://"
    return (
        "it is a URL, and nothing is downloaded: save it to a file first (curl -LO URL) and give "
        "that, or pipe it in and give - as the path"
    )


def _near(path: Path) -> str:
    """Return the names like this one in its folder, as the end of a message."""
    if not path.parent.is_dir():
        return f" (nor the folder {path.parent})"
    try:
        names = sorted(os.listdir(path.parent))
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, names[:10_000], n=3)
    return f"; near it: {', '.join(close)}" if close else f" in {path.parent}"


def _from_folder(folder: Path, encoding: str | None, exclude: Sequence[str]) -> Source:
    if encoding is not None:
        raise ContextError(f"{folder} is a folder: an encoding can be given for one file only")
    found = listing(folder, exclude)
    notice = found.notice
    if not found.files:
        notice = " ".join(filter(None, ("The folder has no text files.", notice)))
    return Source(
        kind="folder", path=folder, data=found.packed(), sha256=found.sha256, size=found.size,
        errors="backslashreplace", notice=notice, notes=found.notes, name=folder.name,
        exclude=tuple(exclude),
    )  # fmt: skip


def _from_bytes(
    path: Path | None, data: bytes | None, encoding: str | None, *, name: str, suffix: str
) -> Source:
    chunks = detect.chunks_of(path, data)
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
    """Return the source as the kind that its suffix stands for, if the text is of that kind."""
    if kind == "json":
        look = JsonLook()
        problem = _json_problem(source, chunks, look)
        if problem:
            return _with_notice(source, problem)
        return replace(source, kind=kind, notes=tuple(look.notes))
    if kind == "jsonl":
        look = JsonLook()
        good, bad, first = _check_lines(source, chunks, look)
        source = replace(source, notes=tuple(look.notes))
        if not good:
            return _with_notice(source, "No line of it is JSON, so it stands as text.")
        if bad:
            lines = ", ".join(map(str, first)) + (", …" if bad > len(first) else "")
            source = _with_notice(source, f"Not JSON, kept as text: line {lines} ({bad:,} in all).")
    return replace(source, kind=kind)


def _with_notice(source: Source, notice: str) -> Source:
    return replace(source, notice=f"{source.notice} {notice}" if source.notice else notice)


def _json_problem(source: Source, chunks: detect.Chunks, look: JsonLook) -> str | None:
    """Return in words why the text is no JSON object or array; None if it is one."""
    if source.size > MAX_JSON_BYTES:
        return f"JSON over {MAX_JSON_BYTES // 1_000_000} MB is not parsed: it stands as text."
    try:
        value = look.parse(b"".join(chunks()).decode(source.encoding, source.errors))
    except RecursionError:
        return "The JSON is nested too deeply to be parsed: it stands as text."
    except ValueError as bad:
        return f"It is not valid JSON ({bad}), so it stands as text."
    if isinstance(value, dict | list):
        return None
    return "The JSON is one bare value: it stands as text."


def _check_lines(
    source: Source, chunks: detect.Chunks, look: JsonLook
) -> tuple[int, int, list[int]]:
    """Return how many lines are JSON, how many are not, and the numbers of five of those."""
    good, bad = 0, 0
    first: list[int] = []
    decoder = codecs.iterdecode(chunks(), source.encoding, source.errors)
    for number, line in enumerate(_lines(decoder), 1):
        if not line.strip():
            continue
        try:
            look.parse(line)
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
