"""Texts whose rows are lines or blocks: settings, records with named fields, numbered lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

VALUE = r"=(\"[^\"]*\"|[^\s,;\"]*[^\s,;\"\])}])"
PAIR = re.compile(rf"(?<![\w.-])([A-Za-z_][\w.-]{{0,40}}){VALUE}")
_SETTING = re.compile(r"\s*(?:export )?([A-Za-z_][\w.-]*)\s*=\s*(.*?)\s*\Z")
_SECTION = re.compile(r"\s*\[([^\]]+)\]\s*\Z")
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
            go_on(made, line, {"number": None, "text": ""})
    return made


def go_on(made: list[Row], line: str, first: Row) -> None:
    """Add a line to the text of the last row; where there is none, to a ``first`` one."""
    if not made:
        made.append(dict(first, text=line))
    elif "text" in made[-1]:
        made[-1]["text"] += "\n" + line
    else:  # an odd line among requests
        made.append(dict(first, text=line))


def are_settings(head: list[str]) -> bool:
    """Return whether nearly all of the lines set a name to a value, as in an INI file."""
    told = [line for line in head if line.strip()[:1] not in ("#", ";", "[")]
    good = sum(_SETTING.match(line) is not None for line in told)
    return good > 2 and good * 10 >= len(told) * 9


def settings_of(text: str) -> list[Row]:
    """Return a row for each setting: its section, where there are any, its name and its value."""
    made: list[Row] = []
    section = None
    for number, line in enumerate(split_lines(text), 1):
        found, headed = _SETTING.match(line), _SECTION.match(line)
        if headed:
            section = headed.group(1)
        elif found:
            row = {"line": number, "section": section, "name": found.group(1)}
            made.append({**row, "value": found.group(2).strip("\"'")})
    if section is None:
        for row in made:
            del row["section"]
    return made


def pairs_of(text: str) -> list[Row]:
    """Return a row for each line of ``name=value`` pairs; all rows have all names."""
    found = [dict(PAIR.findall(line)) for line in split_lines(text) if line.strip()]
    names = dict.fromkeys(name for row in found for name in row)
    return [{n: row[n].strip('"') if n in row else None for n in names} for row in found]


def are_pairs(lines: list[str]) -> bool:
    """Return whether nearly all of the lines are several ``name=value`` pairs and little else."""
    good = 0
    for line in lines:
        pairs = list(PAIR.finditer(line))
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
