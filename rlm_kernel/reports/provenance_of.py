"""Where a recorded answer came from: ``provenance`` with the record and the context at hand.

Contexts are only read: nothing is unpickled, no file is opened that the record's hash does not
speak for.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..answers import Evidence
from ..errors import ContextError, RecordError
from ..events import ContextInfo, NodeStarted
from ..inputs import contexts
from ..inputs.contexts import Source
from ..record.provenance import Covered, Origin, Texts, cover, trace
from ..record.recording import Recording

MAX_BYTES = 400_000_000
MOST_PARTS = 20
SHORTEST_PART, LONGEST_PART = 4, 300
"""Characters of the words of an answer that are looked for."""
_ALONE = "a notebook alone has no prompts: give the run's folder"


@dataclass(frozen=True)
class Origins:
    """``nodes`` has the question's own node first. Exactly one of ``covered`` and ``unknown`` is
    set: the latter tells why it is not known what the prompts held of the context."""

    nodes: list[Origin]
    texts: Texts | None
    covered: Covered | None
    unknown: str | None

    @property
    def calls(self) -> int:
        return sum(len(node.calls) for node in self.nodes)


def find(recording: Recording) -> Origins:
    """Trace the answer of the first node. May take seconds where the context is large.

    Raises ``RecordError`` for a record of no node, or with events that are damaged.
    """
    recording.check_fit()
    root = recording.root.id
    nodes = trace(recording.events, root)
    if not nodes or not nodes[0].calls:
        return _unknown(nodes, "no sub-call is on the way")
    if recording.alone:
        return _unknown(nodes, _ALONE)
    given = {
        e.node: e.context for e in recording.events if isinstance(e, NodeStarted) and e.context
    }
    texts, reason = as_texts(given.get(root), recording.folder)
    if texts is None:
        return _unknown(nodes, reason)
    handed = {}
    for child in {call.child for call in nodes[0].calls if call.child is not None}:
        part, _ = as_texts(given.get(child), recording.folder)
        if part is not None:
            handed[child] = part.text
    covered = cover(nodes[0], texts, handed)
    return Origins(nodes=nodes, texts=texts, covered=covered, unknown=None)


def standing(recording: Recording) -> list[Evidence]:
    """Return where the words of an answer stand in the context, each at its first place: of an
    answer without evidence that is all that can be found. It shows no more than that they are
    there. Short words and numbers are left out, since they stand anywhere. May take seconds."""
    root = recording.root
    given, info = root.given, root.context
    texts = as_texts(info, recording.folder)[0] if given is not None and info is not None else None
    if given is None or texts is None:
        return []
    found = (_place(part, texts) for part in itertools.islice(_telling(given.json), MOST_PARTS))
    return [one for one in found if one is not None]


def _telling(value: Any) -> Iterator[str]:
    for _, text in _strings("", value):
        words = " ".join(text.split())
        if SHORTEST_PART <= len(words) <= LONGEST_PART:
            yield words


def _place(words: str, texts: Texts) -> Evidence | None:
    pattern = r"(?<!\w)" * words[0].isalnum() + r"\s+".join(map(re.escape, words.split()))
    found = re.search(pattern + r"(?!\w)" * words[-1].isalnum(), texts.text)
    if found is None:
        return None
    [span] = texts.spans([found.span()])[:1]
    return Evidence(
        quote=words,
        supported=False,
        where=span.where,
        start=span.start,
        end=span.end,
        line=span.first_line,
    )


def _unknown(nodes: list[Origin], reason: str) -> Origins:
    return Origins(nodes=nodes, texts=None, covered=None, unknown=reason)


def as_texts(info: ContextInfo | None, near: Path) -> tuple[Texts | None, str]:
    """Return a recorded context as text, and why there is none. Lists and dicts give their
    strings."""
    if info is None:
        return None, "there is no context"
    if info.type == "str" and info.length == len(info.head) and not info.tail:
        return Texts(info.head), ""  # short: it stands in the record
    size = info.spec.get("size")
    if isinstance(size, int) and size > MAX_BYTES:
        return None, f"the context is over {MAX_BYTES // 1_000_000} MB"
    try:
        source, reason = contexts.find(info.spec, near.resolve())
        if source is None:
            return None, f"the context is not at hand: {reason}"
        return _read(source)
    except (RecordError, ContextError, OSError, ValueError, RecursionError) as error:
        return None, f"the context cannot be read: {error}"


def _read(source: Source) -> tuple[Texts | None, str]:
    match source.kind:
        case "bytes" | "pickle":
            return None, f"a context of the kind {source.kind} is not opened"
        case "folder":
            return Texts.of(_files(source)), ""
        case "text" | "csv":
            return Texts(_decoded(source)), ""
        case "json":
            return Texts.of(_strings("", json.loads(_decoded(source)))), ""
        case "jsonl":
            return Texts.of(_items(_decoded(source))), ""


def _decoded(source: Source) -> str:
    data = source.path.read_bytes() if source.path is not None else source.data or b""
    return data.decode(source.encoding, source.errors)


def _files(source: Source) -> Iterator[tuple[str, str]]:
    folder = source.path or Path()
    for name, encoding, errors, _ in json.loads(source.data or b"[]"):
        yield name, (folder / name).read_bytes().decode(encoding, errors)


def _items(text: str) -> Iterator[tuple[str, str]]:
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines):
        try:
            yield from _strings(f"[{number}]", json.loads(line))
        except ValueError:
            yield f"[{number}]", line


def _strings(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the strings in it with their places, such as ``[3].title``, in order."""
    waiting = [(name, value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, str):
            yield place, item
        elif isinstance(item, list):
            waiting += reversed([(f"{place}[{n}]", part) for n, part in enumerate(item)])
        elif isinstance(item, dict):
            parts: Iterable[tuple[str, Any]] = (
                (f"{place}.{k}".lstrip("."), v) for k, v in item.items()
            )
            waiting += reversed(list(parts))
