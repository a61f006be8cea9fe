"""Logs and chats as rows: an entry for each line that begins with a time, and its fields."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Optional

from .lines import PAIR, VALUE, Row, go_on, split_lines

_DAY = r"\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d\d),? \d{1,2}:\d\d(?::\d\d)?(?: ?[AaPp]\.?[Mm]\.?)?"
_TIME = (
    r"\d{4}[-/]\d\d[-/]\d\d[T ,]\s?\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
    rf"|{_DAY}"
    r"|\d\d:\d\d:\d\d(?:[.,]\d+)?"
)
_LOGGED = re.compile(rf"[\[(<]?({_TIME})[\])>]?[ \t]*(.*)")
_NAMES = "TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE"
_LEVEL = re.compile(rf"\b({_NAMES}|{_NAMES.lower()})\b")
_LEVEL_CHARS = 80
"""A level stands so near to the time."""
_SOURCE = re.compile(
    r"\W{0,3}(?:(?:%s)\b\W{0,3})?(?:\[([A-Za-z][\w./:-]{0,60})\](?=[\s:]|\Z)"
    r"|(?:[\w.-]{1,60} )?([A-Za-z][\w./-]{0,60})(?:\[\d+\])?:(?=\s|\Z))" % _NAMES,
    re.IGNORECASE,
)
_SENDER = re.compile(r"(?:[-–—~] )?([^\s:][^:\n]{0,60}):(?: (.*)|\Z)")
_MESSAGE = re.compile(rf"\[?(?:{_DAY})\]?:? (?:[-–—~] )?(?=[^\s:])")
_REQUEST = re.compile(
    r'(\S+)(?: \S+ (\S+))? \[([^\]]+)\] "(?:([A-Z]+) )?([^"]*?)(?: HTTP/[\d.]+)?"'
    r" (\d{3})(?= |\Z)(.*)"
)
_REST = re.compile(r'"([^"]*)"|(\S+)')
_DURATION = re.compile(r"\d+(?:\.\d+)?(?:ms|us|µs|s)\Z|\d+\.\d+\Z")
_TOKEN = r"[\w@/#+-](?:[\w.:@/#+-]*[\w/])?(?=[\s,;)\]]|\.?\Z)"
_MARKED = re.compile(rf"(?<![\w=])([a-z]{{2,20}}) (?=({_TOKEN}))")
_MOST_MARKED = 6
_LEAST_MARKED = 5
_COMMON = 10
"""A pair is a field where it stands in one of so many lines at least."""
_MOST = 8
"""A source or a sender is a field where so many lines in ten have one."""
_SEEN = 10_000
"""So many rows, spread over all, say which fields there are."""


def are_logged(head: list[str]) -> bool:
    """Return whether the lines are a log with long entries, such as tracebacks, among others."""
    times = sum(_LOGGED.match(line) is not None for line in head)
    return times > 1 and _LOGGED.match(head[0]) is not None and times * 10 >= len(head) * 3


def are_requests(head: list[str]) -> bool:
    """Return whether nearly all of the lines are a web server's access log."""
    good = sum(_REQUEST.match(line) is not None for line in head)
    return good > 1 and good * 10 >= len(head) * _MOST


def logged(text: str) -> list[Row]:
    """Return a row for each entry of a log. A line without a time, as of a traceback, goes on with
    the entry above. ``level`` is None where an entry names none; what wrote it (``[auth]`` or
    ``sshd[7]:``) is its ``source``, who wrote a message of a chat its ``sender``, and pairs like
    ``user=ann`` are fields, where most have one."""
    split = split_lines(text)
    sent = _are_messages(split)
    made: list[Row] = []
    for number, line in enumerate(split, 1):
        request = None if sent else _REQUEST.match(line)
        found = None if request else _LOGGED.match(line)
        if request:
            made.append({"line": number, **_requested(request)})
        elif found:
            head = {"line": number, "time": found.group(1)}
            made.append({**head, **(_message if sent else _entry)(found.group(2))})
        elif line.strip():
            empty = {"sender": None} if sent else {"level": None}
            go_on(made, line, {"line": number, "time": None, **empty, "text": ""})
    if not sent:
        _add_durations(made)
        _add_sources(made)
        _add_pairs(made)
        _add_marked(made)
    return made


def _entry(said: str) -> Row:
    level = _LEVEL.search(said, 0, _LEVEL_CHARS)
    return {"level": level.group(1).upper() if level else None, "text": said}


# chats
def _are_messages(lines: list[str]) -> bool:
    """Return whether the lines with times are messages: each names who wrote it, and there are
    fewer of those than messages."""
    timed = [found for line in lines[:_SEEN] if (found := _MESSAGE.match(line))]
    names = [found.group(1) for one in timed if (found := _SENDER.match(one.string, one.end()))]
    enough = len(names) > 2 and len(names) * 10 >= len(timed) * _MOST
    return enough and len(set(names)) * 2 <= len(names) and not any(map(_LEVEL.match, names))


def _message(said: str) -> Row:
    found = _SENDER.match(said)
    if found is None:
        return {"sender": None, "text": said}
    return {"sender": found.group(1), "text": found.group(2) or ""}


# a web server's log
def _requested(found: re.Match[str]) -> Row:
    """Return the fields of a line of a web server's access log, its counts as numbers."""
    host, user, time, method, path, status, rest = found.groups()
    words = _REST.findall(rest)
    quoted = [text for text, bare in words if not bare]
    bare = [word for _, word in words if word]
    size = bare[0] if bare and (bare[0].isdecimal() or bare[0] == "-") else ""
    row: Row = {"host": host, "user": user, "time": time, "method": method, "path": path}
    row.update(status=int(status), size=int(size) if size.isdecimal() else None)
    row.update(zip(("referer", "agent"), [*quoted, None, None]))
    return {**row, "duration": next((w for w in bare if _DURATION.match(w)), None)}


def _add_durations(made: list[Row]) -> None:
    """Keep the field where a line has one."""
    if not any(row.get("duration") for row in made):
        for row in made:
            row.pop("duration", None)


# a program's log
def _add_sources(made: list[Row]) -> None:
    """Make a field of what wrote an entry, where most name it and several wrote."""
    seen = [row for row in _spread(made) if "level" in row]
    named = [source for row in seen if (source := _source(row["text"]))]
    if len(named) < 2 or len(named) * 10 < len(seen) * _MOST or len(set(named)) * 2 > len(named):
        return
    for row in made:
        if "level" in row:
            row["source"] = _source(row["text"])


def _source(said: str) -> Optional[str]:
    found = _SOURCE.match(said)
    return found and (found.group(1) or found.group(2))


def _add_pairs(made: list[Row]) -> None:
    """Make fields of the pairs that stand in many texts."""
    counts: Counter[str] = Counter()
    seen = _spread(made)
    for row in seen:
        counts.update(list(dict.fromkeys(name for name, _ in PAIR.findall(row.get("text", "")))))
    names = [name for name, count in counts.items() if count * _COMMON >= len(seen)]
    known = re.compile(rf"(?<![\w.-])({'|'.join(map(re.escape, names))}){VALUE}")
    for row in made if names else []:
        pairs = dict(reversed(known.findall(row.get("text", ""))))  # the first of equal names stays
        for name in names:
            value = pairs.get(name)
            row.setdefault(name, value.strip('"') if value is not None else None)


def _add_marked(made: list[Row]) -> None:
    """Make fields of the names and numbers that stand behind one word in many texts, as users do in
    "login of u17": such a field is called ``after_of``."""
    rows: Counter[str] = Counter()
    behind: dict[str, set[str]] = {}
    seen = [row for row in _spread(made) if "text" in row]
    for row in seen:
        for word, next_one in {w: n for w, n in _MARKED.findall(row["text"])}.items():
            rows[word] += 1
            behind.setdefault(word, set()).add(next_one)
    names = [w for w, n in rows.items() if n * _COMMON >= len(seen) and _are_names(behind[w])]
    for word in names[:_MOST_MARKED]:
        marked = re.compile(rf"\b{word} ({_TOKEN})")
        for row in made:
            found = marked.search(row.get("text") or "")
            row.setdefault(f"after_{word}", found and found.group(1))


def _are_names(words: set[str]) -> bool:
    """Return whether words vary, and most are no plain words."""
    odd = sum(any(not c.isalpha() for c in word.rstrip(".")) for word in words)
    return len(words) >= _LEAST_MARKED and odd * 10 >= len(words) * _MOST


def _spread(made: list[Row]) -> list[Any]:
    return made[:: len(made) // _SEEN + 1]
