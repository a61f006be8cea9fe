"""The guide's tables, made from where their facts are declared.

A Markdown cell of a page with the tag ``table:NAME`` is the table ``NAME``.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import get_args

from rlm_kernel import events, guide
from rlm_kernel.cli import parser
from rlm_kernel.kernel import grammar
from rlm_kernel.record.markdown import table
from rlm_kernel.remote.guest.globals import GLOBALS, Global
from rlm_kernel.settings.limits import LIMITS
from rlm_kernel.settings.option import Cap, Face, Group, Option
from rlm_kernel.settings.resolved import OPTIONS


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _table(head: str, rows: Iterable[Iterable[str]]) -> str:
    return table(head.split(" | "), [list(row) for row in rows])


def _told(doc: str | None) -> str:
    """A docstring as Markdown of one line."""
    return _cell(" ".join(str(doc).split()).replace("``", "`"))


def _sentence(doc: str | None) -> str:
    """The first sentence of it."""
    return _told(doc).partition(". ")[0].rstrip(".") + "."


def _default(option: Option) -> str:
    return "" if option.default in (None, ()) else str(option.default)


def _flag(option: Option) -> str:
    return _code(f"--{option.flag}" if Face.COMMAND in option.faces else "")


def _in_notebooks(option: Option) -> str:
    words = [f"--{option.flag}"] if Face.CELL in option.faces else []
    words += [f"%rlm {option.flag}"] if Face.LINE in option.faces else []
    return ", ".join(map(_code, words))


def limits() -> str:
    rows = [(o.meaning, _default(o), _flag(o), _code(o.variable)) for o in LIMITS.values()]
    return _table("limit | default | option | environment", rows)


def settings() -> str:
    rows = [
        (_code(o.variable), _cell(o.meaning), _default(o), _flag(o), _in_notebooks(o))
        for o in OPTIONS.values()
        if o.group is not Group.LIMIT
    ]
    return _table("variable | meaning | default | `rlm` | notebook", rows)


def caps() -> str:
    capped = [o for o in OPTIONS.values() if o.cap is not Cap.NONE and o.group is not Group.LIMIT]
    return _table("setting | bounded", [(_code(o.name), o.cap.value) for o in capped])


def calls() -> str:
    def told(entry: Global) -> str:
        return _sentence(entry.meaning or entry.function.__doc__)

    return _table("name | meaning", [(_code(g.call), told(g)) for g in GLOBALS])


def lines() -> str:
    rows = [(f"%rlm {n} {v.arguments}".rstrip(), v.what) for n, v in grammar.VERBS.items()]
    return _table("line | meaning", [(_code(line), _cell(what)) for line, what in rows])


def options() -> str:
    rows = [(f"--{name} {o.value}", o.what) for name, o in grammar.OPTIONS.items()]
    return _table("option | meaning", [(_code(line), _cell(what)) for line, what in rows])


def commands() -> str:
    [found] = [a for a in parser.make()._actions if isinstance(a, argparse._SubParsersAction)]
    rows = [(_code(f"rlm {c.dest}"), _cell(str(c.help))) for c in found._choices_actions]
    return _table("command | what it does", rows)


def journal() -> str:
    def row(event: type) -> tuple[str, str, str]:
        mark = " *" if event in events.TRANSIENT else ""
        fields = ", ".join(_code(field.name) for field in dataclasses.fields(event))
        doc = "" if str(event.__doc__).startswith(f"{event.__name__}(") else event.__doc__
        return f"`{event.kind}`{mark}", _told(doc) if doc else "", fields

    return _table("kind | meaning | fields", map(row, get_args(events.Event)))


def topics() -> str:
    rows = [(f"[{topic}]({topic}.ipynb)", title) for topic, title in guide.listing()]
    return _table("topic | page", rows)


TABLES: dict[str, Callable[[], str]] = {
    "limits": limits,
    "settings": settings,
    "caps": caps,
    "calls": calls,
    "lines": lines,
    "options": options,
    "commands": commands,
    "events": journal,
    "topics": topics,
}


def table_of(cell: dict[str, object]) -> str | None:
    """The name of the table that a cell is; None for any other cell."""
    tags = dict(cell["metadata"]).get("tags", [])  # type: ignore[call-overload]
    found = [re.fullmatch(r"table:(\w+)", tag) for tag in tags]
    return next((name[1] for name in found if name), None)
