"""Tasks: a question each, with what it is about and, where that is known, the right answer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import UsageError
from ..inputs import contexts
from ..inputs.contexts import Source
from ..inputs.forms import Form, form_of
from ..settings.resolved import LIMIT_NAMES, checked, did_you_mean

FIELDS = ("question", "context", "context_path", "expected", "id", "answer_form")
LIMITS = tuple(name for name in LIMIT_NAMES if name not in ("max_in_flight", "max_kernels"))
"""Limits that a task may have of its own; the others are of what all tasks share."""
Check: TypeAlias = Callable[[Mapping[str, Any]], str | None]
MAX_SAID = 50
_LONGEST_NAME = 60
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Task:
    """``folder`` is the name of its run's folder. ``context_path`` is None where the context stands
    in the task itself, ``exclude`` is what it leaves out of a folder. ``fields`` is the whole of it
    as it was given."""

    id: str
    question: str
    folder: str
    context: Any = field(default=None, repr=False)
    context_path: Path | None = None
    expected: Any = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    form: Form | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    exclude: tuple[str, ...] = ()

    @property
    def rest(self) -> dict[str, Any]:
        """Return the fields that mean nothing to us."""
        return {n: v for n, v in self.fields.items() if n not in (*FIELDS, *LIMITS)}

    def source(self) -> Source:
        """Return what becomes ``context``. Blocks. Raises ``ContextError``."""
        if self.context_path is not None:
            return contexts.from_path(self.context_path, exclude=self.exclude)
        return contexts.from_value(self.context)


@dataclass(frozen=True)
class Tasks:
    """All tasks in their order. ``text`` is one JSON object a line, which says what they are."""

    tasks: tuple[Task, ...]
    text: str = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


class _Wrong(ValueError):
    """A fault of one task, in words."""


def read_tasks(path: Path, check: Check = lambda fields: None) -> Tasks:
    """Read the tasks of a file: a JSON object a line. Paths in it are relative to its folder;
    ``check`` says what more is wrong with the fields of a task. Blocks.

    Raises ``UsageError`` which names every line that is wrong, with the value and the reason.
    """
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise UsageError(f"{path}: the tasks cannot be read: {error.strerror}") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return _made(numbered, path.absolute().parent, f"{path}: ", check)


def make_tasks(tasks: Iterable[Mapping[str, Any]]) -> Tasks:
    """Make tasks of mappings with the fields that a line has; a ``context`` is what JSON can hold.

    Raises ``UsageError`` as ``read_tasks`` does.
    """
    return _made(list(enumerate(tasks, 1)), Path.cwd(), "")


def _made(
    given: Sequence[tuple[int, bytes | Mapping[str, Any]]],
    base: Path,
    where: str,
    check: Check = lambda fields: None,
) -> Tasks:
    made: dict[str, tuple[int, Task]] = {}
    wrong: list[str] = []
    names: set[str] = set()
    lines = []
    for number, each in given:
        try:
            fields = _parsed(each) if isinstance(each, bytes) else _plain(each)
            task = _task(fields, number, base, names)
            if (problem := check(fields)) is not None:
                raise _Wrong(problem)
            if task.id in made:
                raise _Wrong(f"id={task.id!r}: line {made[task.id][0]} has it already")
        except _Wrong as error:
            wrong.append(f"line {number}: {error}")
            continue
        made[task.id] = number, task
        names.add(task.folder.casefold())
        lines.append(json.dumps(task.fields))
    if wrong or not made:
        raise UsageError(where + _told(wrong))
    return Tasks(tuple(task for _, task in made.values()), "".join(f"{each}\n" for each in lines))


def _told(wrong: list[str]) -> str:
    if not wrong:
        return "there is no task: write one JSON object a line, with question and context"
    lines = "lines are not tasks" if len(wrong) > 1 else "line is not a task"
    more = [f"and {len(wrong) - MAX_SAID:,} more"] if len(wrong) > MAX_SAID else []
    return "\n  ".join([f"{len(wrong):,} {lines}; nothing was started", *wrong[:MAX_SAID], *more])


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _Wrong(f"byte {error.start + 1} is not UTF-8: {_shown(line)}") from None
    except json.JSONDecodeError as error:
        what = f"{error.msg} at character {error.pos + 1}"
        raise _Wrong(f"it is not JSON: {what}: {_shown(error.doc)}") from None
    except RecursionError:
        raise _Wrong("it is nested too deeply") from None


def _no_number(name: str) -> Any:
    raise _Wrong(f"{name} is not a JSON number: write null or leave it out")


def _plain(given: Mapping[str, Any]) -> Any:
    """Return a copy that JSON gives back, so that the folder has what was asked."""
    try:
        return json.loads(json.dumps(given, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise _Wrong(f"it is not JSON: {error}: {_shown(given)}") from None


def _task(fields: Any, number: int, base: Path, names: set[str]) -> Task:
    if not isinstance(fields, dict):
        raise _Wrong(f"it is {_shown(fields)}: give an object with question and context")
    question = fields.get("question")
    if not isinstance(question, str) or not question.strip():
        raise _Wrong(_missing(fields, "question", "give a text"))
    name = fields.get("id", number)
    if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
        raise _Wrong(f"id={_shown(name)}: give a text or a whole number")
    return Task(
        id=str(name),
        question=question,
        folder=_folder_name(str(name), names),
        context=fields.get("context"),
        context_path=_context_path(fields, base),
        expected=_expected(fields.get("expected")),
        limits=_limits(fields),
        form=_form(fields.get("answer_form")),
        fields=fields,
    )


def _missing(fields: dict[str, Any], name: str, what: str) -> str:
    if name in fields:
        return f"{name}={_shown(fields[name])}: {what}"
    unknown = (other for other in fields if other not in (*FIELDS, *LIMITS))
    near = next((other for other in unknown if did_you_mean(other, [name])), None)
    return f"there is no {name}" + ("" if near is None else f"; is {near!r} meant to be it?")


def _context_path(fields: dict[str, Any], base: Path) -> Path | None:
    given = fields.get("context_path")
    if "context" in fields and given is not None:
        raise _Wrong(f"context and context_path={_shown(given)}: give one of them")
    if given is None:
        if fields.get("context") is None:
            raise _Wrong(_missing(fields, "context", "give a text or a JSON value")
                         + "; context_path names a file or a folder instead")  # fmt: skip
        return None
    if not isinstance(given, str) or not given or "\0" in given:
        raise _Wrong(f"context_path={_shown(given)}: give a path")
    path = base / Path(given).expanduser()
    if not path.exists():
        problem = contexts.url_problem(given) or f"there is no such file or folder in {base}"
        raise _Wrong(f"context_path={_shown(given)}: {problem}")
    return path


def _expected(expected: Any) -> Any:
    each = expected if isinstance(expected, list) else [expected]
    right = all(isinstance(one, str | int | float) for one in each) and each
    if expected is not None and not right:
        raise _Wrong(f"expected={_shown(expected)}: give a text, a number or a list of them")
    return expected


def _form(given: Any) -> Form | None:
    if given is not None and not isinstance(given, str | dict):
        raise _Wrong(f"answer_form={_shown(given)}: give a word, a type or a JSON Schema")
    try:
        return None if given is None else form_of(given)
    except UsageError as error:
        raise _Wrong(f"answer_form: {error}") from None


def _limits(fields: dict[str, Any]) -> dict[str, Any]:
    found = {name: fields[name] for name in LIMITS if name in fields}
    try:
        return {name: checked(name, value, name) for name, value in found.items()}
    except UsageError as error:
        raise _Wrong(str(error)) from None


def _folder_name(name: str, taken: set[str]) -> str:
    """Return a name for the folder of its run, unlike all others also where case makes no
    difference."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if safe == name and len(name) <= _LONGEST_NAME and name.casefold() not in taken:
        return name
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{safe[: _LONGEST_NAME - 11]}-{mark}".lstrip("-")


def _shown(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    shown = repr(text)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"
