"""The format of a text, told from its first and last lines."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator

from ..pieces import some
from .headers import has_header

_LOOK_CHARS = 65_536


def text_format(text: str) -> str | None:
    """The format of a text in words, None when nothing is sure."""
    head, lines = first_lines(text)
    whole = len(text) <= _LOOK_CHARS
    if not lines:
        return None
    tail = text[-4096:]
    return (
        _json_format(head.strip() if whole else head.lstrip(), tail.rstrip(), lines, whole)
        or _markup_format(head.lstrip(), tail.rstrip())
        or _line_format(lines)
        or _table_format(lines)
        or _source_format(head)
        or _record_format(head)
    )


def first_lines(text: str) -> tuple[str, list[str]]:
    """Return the first part of a text, and its lines that are whole and not empty."""
    head = text[:_LOOK_CHARS].replace("\r\n", "\n")
    lines = head.split("\n")
    if len(text) > _LOOK_CHARS and len(lines) > 1:
        lines.pop()  # it was cut
    return head, [line for line in lines[:400] if line.strip()]


def _json_format(head: str, tail: str, lines: list[str], whole: bool) -> str | None:
    if len(lines) > 1 and all(_is_json(line) for line in lines[:20]):
        return "JSON lines"
    if whole and head[0] in "{[" and _is_json(head):
        return "JSON object" if head[0] == "{" else "JSON array"
    if whole or head[0] + tail[-1:] not in ("{}", "[]"):
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(head, len(head) - len(head[1:].lstrip()))
    except (ValueError, RecursionError):
        return None
    after = head[end:].lstrip()[:1]
    if head[0] == "{":
        return "JSON object" if after == ":" else None
    return "JSON array" if after == "," else None


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (dict, list))
    except (ValueError, RecursionError):
        return False


def _markup_format(head: str, tail: str) -> str | None:
    if re.match(r"(?i)<!doctype html|<html\b", head):
        return "HTML"
    tag = re.match(r"<([A-Za-z][\w:.-]*)(?:\s[^<>]{0,2000})?>", head)
    if head.startswith("<?xml") or (tag and tail.endswith(f"</{tag.group(1)}>")):
        return "XML"
    return None


_TIMESTAMP = re.compile(
    r"\W?\d{4}[-/]\d\d[-/]\d\d[T ,]\s?\d\d:\d\d|\W?\d\d:\d\d:\d\d\b"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:"
    r"|\S+ \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:|\W?\d\d?[./]\d\d?[./]\d\d(?:\d\d)?,? \d\d?:\d\d"
)


def _line_format(lines: list[str]) -> str | None:
    """Formats that show at the start of each line."""
    some = lines[:50]
    if len(some) < 3:
        return None
    if sum(_TIMESTAMP.match(line) is not None for line in some) * 10 >= len(some) * 7:
        return "log lines with timestamps"
    marks = [re.match(r"\s*[\[(]?(\d{1,9})(?:[.):\]|\t]|\s*->|\s-)", line) for line in some]
    numbers = [int(mark.group(1)) for mark in marks if mark]
    rising = sum(numbers[i + 1] == numbers[i] + 1 for i in range(len(numbers) - 1))
    if len(numbers) * 10 >= len(some) * 8 and rising * 10 >= (len(numbers) - 1) * 9:
        return "numbered lines"
    return None


def _table_format(lines: list[str]) -> str | None:
    """CSV and its kin: at least three rows with the same number of fields under a header."""
    for form, rows in split_forms(lines):
        names = [field.strip() for field in rows[0]]
        if all(0 < len(field) <= 40 for field in names) and len(set(names)) == len(names):
            return f"{form}: {some(names)}"
    return None


def headless_format(text: str) -> str | None:
    """Return the format of a table whose first row is data, None of any other text."""
    form, rows = next(split_forms(first_lines(text)[1]), ("", []))
    return f"{form}, without a header" if form and not has_header(rows) else None


def split_forms(lines: list[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Return each way to read the lines as a table of at least three even rows: its name and the
    rows."""
    for mark, name in ((",", "CSV"), ("\t", "TSV"), (";", "CSV"), ("|", "CSV")):
        try:
            rows = list(csv.reader(lines[:30], delimiter=mark))
        except csv.Error:
            continue
        widths = {len(row) for row in rows}
        if len(rows) > 2 and len(widths) == 1 and widths != {1}:
            split = "" if mark in ",\t" else f" split at {mark!r}"
            yield f"{name} with {len(rows[0])} columns{split}", rows


_PYTHON = re.compile(
    r"^(?:[ \t]*(?:async )?def \w+\(.*|[ \t]*class \w+.*:|import [\w.]+(?: as \w+)?"
    r"|from [\w.]+ import .+|if __name__ == .*)$",
    re.M,
)


def _source_format(head: str) -> str | None:
    if len(re.findall(r"^```", head, re.M)) >= 2:
        return "Markdown"
    if len(_PYTHON.findall(head)) >= 2:
        return "Python source"
    headings = re.findall(r"(?:\A|\n[ \t]*\n)(#{1,6}) \S", head)
    styled = re.search(r"\[[^\]\n]{1,200}\]\([^)\n]{1,200}\)|\*\*[^*\n]+\*\*|^[-*] \S", head, re.M)
    if len(headings) >= 2 and (styled or any(len(mark) > 1 for mark in headings)):
        return "Markdown"
    return None


def _record_format(head: str) -> str | None:
    blocks = [b for b in re.split(r"\n[ \t]*\n", head.strip("\n"))[:20] if b.strip()]
    keyed = [re.findall(r"^(\w[\w -]{0,30}):(?:[ \t]|$)", block, re.M) for block in blocks]
    full = [keys for keys in keyed if len(keys) >= 2]
    if len(blocks) >= 3 and len(full) * 10 >= len(blocks) * 8:
        return f"records separated by blank lines, with fields {some(full[0])}"
    return None
