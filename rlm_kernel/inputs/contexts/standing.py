"""Looks in an input for the quotes that a kernel says to stand there.

A kernel runs what an LM wrote: its word for what an answer rests on is not enough.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ...answers import Evidence
from ...remote.guest.reading.places import chunks
from .source import Source

READ = 1 << 20
MOST_PARSED = 1 << 26
"""The bytes of JSON up to which it is parsed here."""


def standing(evidence: Sequence[Evidence], source: Source) -> tuple[Evidence, ...]:
    """Return the evidence, of which none is ``supported`` that does not stand at its place in the
    source. Blocks.

    Texts, folders, and JSON of up to 64 MiB are looked into. Bytes, tables and pickles are not read
    here as a kernel reads them: there its word counts.
    """
    wanted = {one.where for one in evidence if one.supported}
    if not wanted:
        return tuple(evidence)
    try:
        texts = _texts(source, wanted)
        if texts is None:
            return tuple(evidence)
        stands = [_stands(one, texts.get(one.where, ())) for one in evidence]
    except (OSError, ValueError):  # it is not what it was when it was given
        stands = [not one.supported for one in evidence]
    return tuple(
        one if there else _asserted(one) for one, there in zip(evidence, stands, strict=True)
    )


def _asserted(one: Evidence) -> Evidence:
    return replace(one, supported=False, start=None, end=None, line=None)


def _texts(source: Source, wanted: Iterable[str]) -> dict[str, Iterable[str]] | None:
    """Return by name the wanted parts of a source, each in pieces; None where they are not read
    here."""
    if source.kind == "text":
        return {"": _Pieces(source.path, source.data, source.encoding, source.errors)}
    if source.kind == "folder":
        assert source.path is not None
        files = {name: rest for name, *rest in json.loads(source.data or b"[]")}
        return {
            name: _Pieces(source.path / name, None, files[name][0], "backslashreplace")
            for name in wanted
            if name in files
        }
    if source.kind in ("json", "jsonl") and source.size <= MOST_PARSED:
        from ...remote.guest.values import json_lines, json_or_text  # much that only guests need

        text = "".join(_Pieces(source.path, source.data, source.encoding, source.errors))
        value = json_or_text(text) if source.kind == "json" else json_lines(text)
        found = (part for chunk in chunks(value) for part in chunk.parts)
        return {where: [text] for where, text in found if where in wanted}
    return None


class _Pieces:
    """The text of a file, or of bytes, in pieces."""

    def __init__(self, path: Path | None, data: bytes | None, encoding: str, errors: str) -> None:
        self._path = path
        self._data = data
        self._decoder = codecs.getincrementaldecoder(encoding)
        self._errors = errors

    def __iter__(self) -> Iterator[str]:
        decoder = self._decoder(self._errors)
        for data in self._bytes():
            yield decoder.decode(data)
        yield decoder.decode(b"", final=True)

    def _bytes(self) -> Iterator[bytes]:
        if self._path is None:
            yield self._data or b""
            return
        with self._path.open("rb") as file:
            while data := file.read(READ):
                yield data


def _stands(one: Evidence, text: Iterable[str]) -> bool:
    """Return whether it is only asserted, or stands where it says, white space aside."""
    if not one.supported:
        return True
    assert one.start is not None
    assert one.end is not None
    at, line, found = 0, 1, ""
    for piece in text:
        begin, end = max(one.start - at, 0), max(one.end - at, 0)
        line += piece.count("\n", 0, min(begin, len(piece)))
        found += piece[begin:end]
        at += len(piece)
        if at >= one.end:
            break
    return at >= one.end and found.split() == one.quote.split() != [] and line == one.line
