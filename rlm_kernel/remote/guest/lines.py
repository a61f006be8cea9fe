"""Texts whose rows are lines or blocks: logs, records with named fields, numbered lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

_TIME = (
    r"\d{4}[-/]\d\d[-/]\d\d[T ,]\s?\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    r"|\d\d[./]\d\d[./]\d{4} \d\d:\d\d(?::\d\d)?"
    r"|\d\d:\d\d:\d\d(?:[.,]\d+)?"
)
_LOGGED = re.compile(rf"[\[(<]?({_TIME})[\])>]?[ \t]*(.*)")
_NAMES = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE"
_LEVEL = re.compile(rf"\b({_NAMES}|{_NAMES.lower()})\b")
_LEVEL_CHARS = 80
"""A level stands so near to the time."""
_REQUEST = re.compile(
    r'(\S+) \S+ (\S+) \[([^\]]+)\] "(?:([A-Z]+) )?([^"]*?)(?: HTTP/[\d.]+)?" (\d{3}) (\d+|-)'
    r'(?: "([^"]*)" "([^"]*)")?'
)
_REQUEST_FIELDS = ("host", "user", "time", "method", "path", "status", "size", "referer", "agent")
_VALUE = r"=(\"[^\"]*\"|[^\s,;\"]*[^\s,;\"\])}])"
_PAIR = re.compile(rf"(?<![\w.-])([A-Za-z_][\w.-]{{0,40}}){_VALUE}")
_COMMON = 10
"""A pair is a field where it stands in one of so many lines at least."""
_SEEN = 10_000
"""So many rows, spread over all, say which pairs are common."""
_FIELD = re.compile(r"(\w[\w -]{0,30}):(?:[ \t]+(.*)|)\Z")
_NUMBERED = re.compile(r"\s*[\[(]?(\d{1,9})(?:[.):\]|\t]|\s*->|\s-)\s*(.*)")


def split_lines(text: str) -> list[str]:
    """Return the lines, without what ends them."""
    return [line[:-1] if line.endswith("\r") else line for line in text.split("\n")]


def plain(text: str) -> Iterator[Row]:
    """Return a row for each line that is not empty: its number from 1, and its text."""
    for number, line in enumerate(split_lines(text), 1):
        if line.strip():
            yield {"line": number, "text": line}


def numbered(text: str) -> list[Row]:
    """Return a row for each numbered line; a line without a number goes on with the one above."""
    made: list[Row] = []
    for line in split_lines(text):
        found = _NUMBERED.match(line)
        if found:
            made.append({"number": int(found.group(1)), "text": found.group(2)})
        elif line.strip():
            _go_on(made, line, {"number": None, "text": ""})
    return made


def are_logged(head: list[str]) -> bool:
    """Return whether the lines are a log with long entries, such as tracebacks, among others."""
    times = sum(_LOGGED.match(line) is not None for line in head)
    return times > 1 and _LOGGED.match(head[0]) is not None and times * 10 >= len(head) * 3


def logged(text: str) -> list[Row]:
    """Return a row for each entry of a log. A line without a time, as of a traceback, goes on with
    the entry above. ``level`` is None where an entry names none; pairs like ``user=ann`` that are
    common are fields as well."""
    made: list[Row] = []
    for number, line in enumerate(split_lines(text), 1):
        request = _REQUEST.match(line)
        found = None if request else _LOGGED.match(line)
        if request:
            made.append({"line": number, **_requested(request)})
        elif found:
            level = _LEVEL.search(found.group(2), 0, _LEVEL_CHARS)
            said = level.group(1).upper() if level else None
            made.append(
                {"line": number, "time": found.group(1), "level": said, "text": found.group(2)}
            )
        elif line.strip():
            _go_on(made, line, {"line": number, "time": None, "level": None, "text": ""})
    _add_pairs(made)
    return made


def _requested(found: re.Match[str]) -> Row:
    """Return the fields of a line of a web server's access log, its counts as numbers."""
    row: Row = dict(zip(_REQUEST_FIELDS, found.groups()))
    size = row["size"]
    return {**row, "status": int(row["status"]), "size": int(size) if size.isdecimal() else None}


def _go_on(made: list[Row], line: str, first: Row) -> None:
    """Add a line to the text of the last row; where there is none, to a ``first`` one."""
    if not made:
        made.append(dict(first, text=line))
    elif "text" in made[-1]:
        made[-1]["text"] += "\n" + line
    else:  # an odd line among requests
        made.append(dict(first, text=line))


def _add_pairs(made: list[Row]) -> None:
    """Make fields of the pairs that stand in many texts."""
    counts: Counter[str] = Counter()
    seen = made[:: len(made) // _SEEN + 1]
    for row in seen:
        counts.update(list(dict.fromkeys(name for name, _ in _PAIR.findall(row.get("text", "")))))
    names = [name for name, count in counts.items() if count * _COMMON >= len(seen)]
    known = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, names))}){_VALUE}")
    for row in made if names else []:
        pairs = dict(reversed(known.findall(row.get("text", ""))))  # the first of equal names stays
        for name in names:
            value = pairs.get(name)
            row.setdefault(name, value.strip('"') if value is not None else None)


def pairs_of(text: str) -> list[Row]:
    """Return a row for each line of ``name=value`` pairs; all rows have all names."""
    found = [dict(_PAIR.findall(line)) for line in split_lines(text) if line.strip()]
    names = dict.fromkeys(name for row in found for name in row)
    return [{n: row[n].strip('"') if n in row else None for n in names} for row in found]


def are_pairs(lines: list[str]) -> bool:
    """Return whether nearly all of the lines are several ``name=value`` pairs and little else."""
    good = 0
    for line in lines:
        pairs = list(_PAIR.finditer(line))
        covered = sum(pair.end() - pair.start() for pair in pairs)
        good += len(pairs) > 1 and covered * 4 >= len(line.strip()) * 3
    return len(lines) > 1 and good * 10 >= len(lines) * 9


def records(text: str) -> list[Row]:
    """Return a row for each block of ``Name: value`` lines between empty lines. A line without a
    name goes on with the field above; of equal names in a block the values stand below one
    another. All rows have all names, None where a block lacks one."""
    made: list[Row] = []
    for block in re.split(r"\n[ \t\r]*\n", text):
        row: Row = {}
        last = "text"
        for line in split_lines(block):
            found = _FIELD.match(line)
            if found:
                last = found.group(1)
            value = (found.group(2) or "") if found else line.strip()
            if found or value:
                row[last] = f"{row[last]}\n{value}" if row.get(last) else value
        if row:
            made.append(row)
    names = dict.fromkeys(name for row in made for name in row)
    return [{name: row.get(name) for name in names} for row in made]
