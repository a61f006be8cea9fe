"""A longer look at a value, for an LM that plans: how it is built, and how large its parts are."""

from __future__ import annotations

import io
import itertools
import os
import statistics
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from .pieces import counted, cut_pieces, first_of, guarded, some
from .reading.folder import Folder

MOST_CHARS = 1500
_EXACT_ITEMS = 100_000
"""The most texts that are measured one by one; of more, some."""
_SAMPLE = 100
"""The other items that are measured, spread over all."""
_ITEM_CHARS = 20_000
"""The characters at which measuring an item ends."""
_CELLS = 2_000_000
"""The most cells of a table in which gaps are looked for."""
_KEYS = 16
_NAMES_CHARS = 400
_ROW_CHARS = 150


def overview(value: Any, head: str, tail: str) -> Optional[str]:
    """Return lines on a value's parts, with its beginning and its end; for bytes and numpy's arrays
    one line, of what they are. None where ``format`` says it all."""
    kind = type(value)
    if isinstance(value, Folder):
        lines = guarded(_folder, value)
    elif kind.__name__ in ("DataFrame", "Series"):
        lines = guarded(_frame, value)
    elif kind in (bytes, bytearray):
        said: Optional[str] = guarded(_archive, value) or guarded(_office, value)
        return said
    elif kind.__name__ == "ndarray":
        said = guarded(lambda array: f"shape {array.shape}, dtype {array.dtype}", value)
        return said
    elif kind in (list, tuple, dict, set, frozenset) and value:
        about = guarded(_dict if kind is dict else _items, value)
        lines = about and about + _ends(head, tail)
    else:
        return None
    return "\n".join(lines)[:MOST_CHARS] if lines else None


def _ends(head: str, tail: str) -> list[str]:
    return ["It begins:", head, *(["It ends:", tail] if tail else [])]


# lists and dicts
def kind_of(value: Any) -> str:
    """Return in a few words what a value is: its type, length and what is in it."""
    kind = type(value).__name__
    if isinstance(value, (str, bytes, bytearray)):
        unit = "characters" if isinstance(value, str) else "bytes"
        short = f": {cut_pieces(value, 60)[0]}" if len(value) <= 50 else ""
        return f"{kind} of {len(value):,} {unit}{short}"
    if type(value) in (list, tuple, set, frozenset):
        texts = f", {_measured(value)[0]} characters in all" if value and _are_texts(value) else ""
        return f"{kind} of {len(value):,} {_made_of(value)}".rstrip() + texts
    if type(value) is dict:
        return f"dict of {len(value):,} with keys {some(list(first_of(value)))}"
    size = guarded(len, value)
    return f"{kind} {cut_pieces(value, 60)[0]}" if size is None else f"{kind} of {size:,}"


def _made_of(items: Any) -> str:
    """Return the types of the first items, and the keys of dicts."""
    kinds = list(dict.fromkeys(type(item).__name__ for item in first_of(items)))
    keys = dict.fromkeys(key for item in first_of(items) if type(item) is dict for key in item)
    return some(kinds) + (f" with keys {some(list(keys))}" if keys else "")


def _items(items: Any) -> list[str]:
    return [f"{counted(len(items), 'item')}: {_made_of(items)}. {_sizes(items)}"]


def _sizes(items: Any) -> str:
    total, middle, longest = _measured(items)
    return f"Characters: {total} in all, {middle} at the median, {longest} at most."


def _are_texts(items: Any) -> bool:
    return all(type(item) is str for item in first_of(items))


def _measured(items: Any) -> tuple[str, str, str]:
    """Return how long the items are in all, at the median and at most, so that prompts can be
    filled with them: texts as they are, others as they are written."""
    texts = _are_texts(items)
    most = _EXACT_ITEMS if texts else _SAMPLE
    taken = items if len(items) <= most else list(_spread(items, most))
    lengths = [len(i) if type(i) is str else len(cut_pieces(i, _ITEM_CHARS)[0]) for i in taken]
    sure = len(lengths) == len(items) and (texts or max(lengths) < _ITEM_CHARS)
    total = sum(lengths) * len(items) // len(lengths)
    numbers = total, int(statistics.median(lengths)), max(lengths)
    all_of, middle, longest = (f"{'' if sure else 'about '}{number:,}" for number in numbers)
    return all_of, middle, longest


def _spread(items: Any, count: int) -> Iterator[Any]:
    """Return so many items, evenly spread over a list or taken from the first of anything else."""
    if isinstance(items, Sequence):
        return (items[at * len(items) // count] for at in range(count))
    return itertools.islice(iter(items), count)


def _dict(value: Any) -> list[str]:
    lines = [f"{_text(key)}: {kind_of(value[key])}"[:_ROW_CHARS] for key in _first_keys(value)]
    if len(value) > len(lines):
        lines.append(f"… and {len(value) - len(lines):,} more keys, the last {_text(_last(value))}")
        lines.append(f"The values: {_made_of(value.values())}. {_sizes(value.values())}")
    return [f"{counted(len(value), 'key')}:", *lines]


def _first_keys(value: Any) -> list[Any]:
    """Return all keys if they are few; of many some, since they are then all of one kind."""
    return list(itertools.islice(value, _KEYS if len(value) <= _KEYS else 3))


def _last(value: Any) -> Any:
    return next(reversed(value))


def _text(key: Any) -> str:
    return cut_pieces(key, 60)[0]


# tables
def _frame(frame: Any) -> list[str]:
    is_table = type(frame).__name__ == "DataFrame"
    if is_table:
        first = f"{_shape(frame)}: {_columns(frame)}"
    else:
        first = f"{len(frame):,} values of {frame.dtype}, named {frame.name!r}"
    plain = _is_plain(frame.index)
    rows = [_row(frame.iloc[[at]], plain) for at in range(min(3, len(frame)))]
    if sum(map(len, rows)) > 2 * _ROW_CHARS:
        rows = rows[:1]
    last = ["It ends:", _row(frame.tail(1), plain)] if len(frame) > len(rows) else []
    return [first, *([] if plain else [_index(frame.index)]), "It begins:", *rows, *last]


def _shape(frame: Any) -> str:
    rows, columns = frame.shape
    return f"{counted(rows, 'row')} × {counted(columns, 'column')}"


def _row(frame: Any, plain: bool) -> str:
    row = str(frame.to_csv(index=not plain, header=False)).rstrip("\r\n")
    return row if len(row) <= _ROW_CHARS else row[:_ROW_CHARS] + "…"


def _columns(frame: Any) -> str:
    """Return the columns' names, types and gaps, as many as fit."""
    rows = max(1, _CELLS // max(1, len(frame.columns)))
    gaps = frame.head(rows).isna().sum().tolist()
    where = f" in the first {rows:,} rows" if len(frame) > rows else ""
    shown: list[str] = []
    room = _NAMES_CHARS
    for name, kind, missing in zip(frame.columns, frame.dtypes, gaps):
        lack = f", {missing:,} missing{where}" if missing else ""
        text = f"{str(name)[:60]} ({kind}{lack})"
        room -= len(text) + 2
        if room < 0:
            return ", ".join(shown) + f" … and {len(gaps) - len(shown):,} more"
        shown.append(text)
    return ", ".join(shown)


def _is_plain(index: Any) -> bool:
    """Return whether the index counts rows from 0 and has no name."""
    counted = type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1
    return counted and index.name is None


def _index(index: Any) -> str:
    names = ", ".join(str(name)[:60] for name in index.names if name is not None) or "no name"
    kind = "MultiIndex" if index.nlevels > 1 else index.dtype
    span = f", from {_label(index[0])} to {_label(index[-1])}" if len(index) else ""
    return f"Its index: {names} ({kind}){span}"


def _label(label: Any) -> str:
    """Return a label of an index as a person writes it."""
    parts = label if type(label) is tuple else (label,)
    return " ".join(str(part) for part in parts)[:60]


# folders and bytes
def _folder(folder: Any) -> list[str]:
    sizes = folder.sizes()
    counts: dict[str, int] = {}
    for name in sizes:
        suffix = os.path.splitext(name)[1] or "no suffix"
        counts[suffix] = counts.get(suffix, 0) + 1
    common = sorted(counts, key=lambda suffix: -counts[suffix])
    largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
    lines = [
        f"{counted(len(sizes), 'text')} of {sum(sizes.values()):,} characters in all"
        f" ({some([f'{counts[s]:,} {s}' for s in common])}). A mapping: `context[name]` is a text, "
        "read when it is asked for; `context.items()` gives all.",
        f"Its names: {_names(list(sizes))}",
        "The largest: " + ", ".join(f"{name} ({sizes[name]:,})" for name in largest),
    ]
    first = next(iter(sizes), None)
    text = None if first is None else guarded(lambda name: folder.head(name, 300), first)
    return lines + ([f"{first} begins:", text] if text else [])


def _names(names: list[str]) -> str:
    shown = ", ".join(name[:80] for name in names[:5])
    return shown if len(names) < 6 else f"{shown}, … {names[-1][:80]}"


def _archive(data: Any) -> Optional[str]:
    """Return what is in a ZIP archive, which many formats are."""
    if bytes(data[:4]) != b"PK\x03\x04":
        return None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        kind = _by_members(archive, set(names))
    inside = f"{counted(len(names), 'member')}: {some(names)}"
    return f"{kind}, which is a ZIP archive of {inside}" if kind else f"a ZIP archive of {inside}"


_MEMBERS: Mapping[str, str] = {
    "word/document.xml": "a Word document (.docx)",
    "xl/workbook.xml": "an Excel workbook (.xlsx)",
    "xl/workbook.bin": "an Excel workbook (.xlsb)",
    "ppt/presentation.xml": "a PowerPoint presentation (.pptx)",
    "AndroidManifest.xml": "an Android app (.apk)",
    "META-INF/MANIFEST.MF": "a Java archive (.jar)",
    "doc.kml": "a map (.kmz)",
}
_TYPES: Mapping[str, str] = {
    "application/epub+zip": "an e-book (.epub)",
    "application/vnd.oasis.opendocument.text": "an OpenDocument text (.odt)",
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (.ods)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (.odp)",
}


def _by_members(archive: Any, names: set[str]) -> Optional[str]:
    if "mimetype" in names:
        with archive.open("mimetype") as member:
            said = member.read(200).decode("ascii", "replace").strip()
        return _TYPES.get(said, f"of the type {said}")
    if names and all(name.endswith(".npy") for name in names):
        return "numpy arrays (.npz)"
    if any(name.endswith(".dist-info/WHEEL") for name in names):
        return "a Python wheel (.whl)"
    return next((kind for name, kind in _MEMBERS.items() if name in names), None)


def _office(data: Any) -> Optional[str]:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    return "an older Office file (.doc, .xls, .ppt or .msg)" if data[:8] == ole else None
