"""The rows of a folder whose files are alike: a row for each mail, setting, task or line of a
table, with the file that it stands in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from email import errors, message_from_string, policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any, Optional

from . import lines
from .folder import Folder
from .rows import markdown_rows, rows_of

Row = dict[str, Any]
MOST_FILES = 20_000
_LOOKED_AT = 40
"""So many files, spread over all, say which form they have."""
_MOST = 8
"""So many files in ten have the form."""
_HEAD_CHARS = 2000
_HEADER = re.compile(r"([A-Z][\w-]{0,40}):(?: (.*)|\s*\Z)")
_MAIL = {
    "from": "sender", "to": "recipient", "cc": "cc", "subject": "subject", "date": "date",
    "message-id": "message_id", "in-reply-to": "in_reply_to",
}  # fmt: skip
"""The headers of a mail that are fields; from and to are words of SQL."""
_ALWAYS = ("sender", "recipient", "subject", "date")
_TASK = re.compile(r"\s*[-*+] \[([ xX])\] (.*\S)\s*\Z")
_TITLE = re.compile(r"^# +(.*\S)[ \t\r]*$", re.MULTILINE)


def rows_of_files(folder: Folder) -> list[Row]:
    """Return the rows of a folder, each with its ``file``, and ``folder`` where there are several;
    none where its files have no form in common. A file without that form is a row with its
    ``text``."""
    if not 2 <= len(folder) <= MOST_FILES:
        return []
    names = list(folder)
    sample = [folder[name] for name in names[:: len(names) // _LOOKED_AT + 1]]
    form = next((form for form in FORMS if _fits(form, sample)), None)
    if form is None:
        return []
    several = len({name.rpartition("/")[0] for name in names}) > 1
    made: list[Row] = []
    for name, text in folder.items():
        above, _, file = name.rpartition("/")
        where = {"folder": above, "file": file} if several else {"file": file}
        made += [{**where, **row} for row in form(text) or [{"text": text}]]
    return made


def _fits(form: Callable[[str], list[Row]], sample: list[str]) -> bool:
    found = [rows for text in sample if (rows := form(text))]
    if len(found) < 2 or len(found) * 10 < len(sample) * _MOST:
        return False
    same = Counter(tuple(rows[0]) for rows in found).most_common(1)[0][1]
    return form is not _table or same * 10 >= len(found) * _MOST


def _mail(text: str) -> list[Row]:
    """Return the one row of a mail, or of another text under headers."""
    names = [name.lower() for name, _ in _headers(text[:_HEAD_CHARS])]
    if "from" in names and {"to", "subject", "date"} & set(names):
        return [_mailed(text)]
    return []


def _headed(text: str) -> list[Row]:
    """Return the one row of a text that begins with lines of fields and an empty line."""
    found = list(_headers(text[:_HEAD_CHARS]))
    if len(found) < 2:
        return []
    body = re.split(r"\n[ \t\r]*\n", text, maxsplit=1)
    return [{**{name: value for name, value in found}, "text": body[1] if body[1:] else ""}]


def _headers(head: str) -> Iterator[tuple[str, str]]:
    for line in head.lstrip("\ufeff-\r\n").split("\n"):
        found = _HEADER.match(line.rstrip("\r"))
        if found is None:
            return
        yield found.group(1), found.group(2) or ""


def _mailed(text: str) -> Row:
    mail = message_from_string(text.lstrip("\ufeff\r\n"), policy=policy.default)
    row: Row = {field: _header(mail, name) for name, field in _MAIL.items()}
    row["date"] = _day(row["date"]) or row["date"]
    kept = {field: value for field, value in row.items() if value is not None or field in _ALWAYS}
    return {**kept, "text": _body(mail)}


def _header(mail: Any, name: str) -> Optional[str]:
    try:
        value = mail.get(name)
    except (errors.MessageError, ValueError, IndexError, AttributeError):
        return None  # the parser's own faults over broken headers
    return None if value is None else str(value)


def _day(text: Optional[str]) -> Optional[str]:
    try:
        return parsedate_to_datetime(text or "").isoformat(" ", "seconds")[:19]
    except (ValueError, TypeError, IndexError):
        return None


def _body(mail: Any) -> str:
    try:
        part = mail.get_body(("plain", "html")) if isinstance(mail, EmailMessage) else None
        return str((part or mail).get_content()).strip()
    except (errors.MessageError, LookupError, ValueError, AttributeError):
        return str(mail.get_payload()).strip()


def _settings(text: str) -> list[Row]:
    head = [line for line in text[:_HEAD_CHARS].split("\n")[:-1] if line.strip()]
    return _without_line(lines.settings_of(text)) if lines.are_settings(head) else []


def _without_line(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "line"} for row in rows]


def _table(text: str) -> list[Row]:
    """Return the rows of a file that is a table, or JSON with rows."""
    made = rows_of(text)
    return list(made) if made.guess.startswith(_READ) else []


_READ = ("Read as a table", "Read as a Markdown table", "Read as JSON", "Read as a log")


def _tables_within(text: str) -> list[Row]:
    """Return the rows of the Markdown tables in a text, with its title."""
    return [{**_titled(text), **row} for row in markdown_rows(text)]


def _tasks(text: str) -> list[Row]:
    """Return the tasks of a text that are ticked off or not, with its title."""
    found = [one for line in text.split("\n") if (one := _TASK.match(line))]
    head = _titled(text)
    return [{**head, "done": int(one.group(1) != " "), "task": one.group(2)} for one in found]


def _titled(text: str) -> Row:
    title = _TITLE.search(text)
    return {"title": title.group(1)} if title else {}


FORMS: tuple[Callable[[str], list[Row]], ...] = (
    _mail, _settings, _tasks, _tables_within, _table, _headed,
)  # fmt: skip
