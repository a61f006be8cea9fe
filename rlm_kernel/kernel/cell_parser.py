"""Reading a cell: Python with ``%rlm`` lines above it, or a question. Completing our own words.

The grammar of those words is in ``grammar``. Nothing here looks at files, variables or what is in
force.
"""

from __future__ import annotations

import difflib
import keyword
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UsageError
from ..inputs.forms import form_of_text
from ..remote.guest.forms.type_expressions import UnknownName
from ..remote.guest.globals import RESERVED
from .grammar import (
    ANSWER,
    OPTIONS,
    REPLAY,
    VERBS,
    Command,
    check_one_of,
    command,
    read_options,
    settings_of,
    shell_words,
)

_ANNOTATION = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*:(?P<form>.+?)(?P<rest>\s--?[A-Za-z].*)?$")
_STATEMENTS = {*keyword.kwlist, "print", "exec", "match", "case", "type"} - {"is"}
_CODE = re.compile(r"[=\[\]{}_<>|&\\@#$%^*+/~`]|\w\(|\w\.\w|:\s*$")


@dataclass(frozen=True)
class Question:
    """A cell that asks. ``settings`` are its options by the names of ``in_force``, checked."""

    name: str
    text: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    context: str | None = None
    encoding: str | None = None
    replay: str | None = None
    form: str | None = None
    """The form of its answer, as written."""
    commands: tuple[Command, ...] = ()
    """``%rlm`` lines above the question, to be done before it."""
    goes_on: bool = False
    """The last question goes on, by ``%rlm continue``; ``text`` is a word to the LM."""


@dataclass(frozen=True)
class Python:
    """A cell for the inner kernel, as it is, after ``commands`` are done."""

    commands: tuple[Command, ...] = ()


Cell = Question | Python


Kind = Literal["path", "variable", "model", "kernel", "run", "turn"]
_AFTER_VERB: dict[str, tuple[Kind, ...]] = {
    "context": ("variable", "path"),
    "model": ("model",),
    "sub-model": ("model",),
    "kernel": ("kernel",),
    "out": ("path",),
    "open": ("run",),
    "watch": ("run",),
    "take": ("turn",),
    "replay": ("path",),
}
_IN_OPTION: dict[str, tuple[Kind, ...]] = {
    "context": ("variable", "path"),
    "out": ("path",),
    "model": ("model",),
    "sub-model": ("model",),
}
"""Kinds of names that may stand after a word of ours, where it has no few words of its own."""


@dataclass(frozen=True)
class Wanted:
    """Names of these ``kinds`` may stand at the cursor, in place of a ``fragment``; ``before`` is
    what stands before it in the same word."""

    kinds: tuple[Kind, ...]
    fragment: str
    before: str = ""


@dataclass(frozen=True)
class Completion:
    """The texts that may stand in ``code[start:end]`` instead."""

    matches: list[str]
    start: int
    end: int


def split(code: str, *, ask: bool = False) -> Cell:
    """Read a cell. ``ask`` is the mode in which plain text is a question.

    ``%rlm`` lines count above the first line of anything else, blank lines and comments aside; a
    ``%%rlm`` line may follow them. Raises ``UsageError``; then nothing of the cell is to be done.
    """
    lines = code.split("\n")
    top = _top(lines)
    _check_capitals(lines[top] if top < len(lines) else "")
    commands = tuple(command(line.strip()[4:]) for line in lines[:top] if _is_command(line))
    if top < len(lines) and (first := _first_line(lines[top])) is not None:
        return _question(first, "\n".join(lines[top + 1 :]).strip(), commands)
    if any(c.verb == "tell" for c in commands):
        words = "\n".join([*(c.value or "" for c in commands), body(code)]).strip()
        return Python((Command("tell", words),))
    if any(c.verb == "continue" for c in commands):
        others = tuple(c for c in commands if c.verb != "continue")
        settings = {n: v for c in commands if c.verb == "continue" for n, v in c.settings.items()}
        return Question(ANSWER, body(code).strip(), settings, commands=others, goes_on=True)
    modes = [c.value == "ask" for c in commands if c.verb == "mode" and c.value is not None]
    if [ask, *modes][-1]:
        last = max((n for n in range(top) if _is_command(lines[n])), default=-1)
        text = "\n".join(lines[last + 1 :]).strip()
        if text and text[0] not in "%!?":  # IPython's own words stay what they are
            return Question(ANSWER, text, commands=commands)
    return Python(commands)


def body(code: str) -> str:
    """Return the Python below the ``%rlm`` lines of a cell; empty if there is none."""
    lines = code.split("\n")
    return "\n".join(lines[_top(lines) :])


def _top(lines: list[str]) -> int:
    """Return the number of lines above the first that is not blank, a comment or a command."""
    for number, line in enumerate(lines):
        text = line.strip()
        if text and not text.startswith("#") and not _is_command(line):
            return number
    return len(lines)


def _is_command(line: str) -> bool:
    return _is_word(line, "%rlm")


def _first_line(line: str) -> str | None:
    """Return the rest of a ``%%rlm`` line; None for any other line."""
    return line.strip()[5:] if _is_word(line, "%%rlm") else None


def _is_word(line: str, word: str) -> bool:
    """Return whether a line begins with this word."""
    return line.split()[:1] == [word]


def _check_capitals(line: str) -> None:
    """Raise ``UsageError`` for a line with a word of ours in capitals."""
    first = next(iter(line.split()), "")
    if first.casefold() in ("%rlm", "%%rlm") and first != first.casefold():
        raise UsageError(f"{first}: write {first.casefold()}, in small letters")


def _question(line: str, text: str, commands: tuple[Command, ...]) -> Question:
    only = "the %%rlm line has a name and options only; write the question below it"
    line, form = _annotated(line)
    plain, given = read_options(shell_words(line, only), OPTIONS)
    if form is not None and "answer" in given:
        raise UsageError(f"the answer's form is given twice: {form} and {given['answer']}")
    form = given.get("answer") if form is None else form
    if len(plain) > 1:
        raise UsageError(f"{plain[1]!r} is one word too many: {only}")
    name = plain[0] if plain else ANSWER
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{name!r} cannot be the name of a variable for the answer: {only}")
    if name in RESERVED and name != "context":
        raise UsageError(f"the LM's cells have a {name!r} of their own: choose another name")
    if not text:
        raise UsageError("write the question below the %%rlm line")
    settings = settings_of(given)
    replay = given.get("replay")
    if replay is not None:
        check_one_of(replay, REPLAY, f"--replay={replay!r}")
    context, encoding = given.get("context"), given.get("encoding")
    return Question(
        name=name,
        text=text,
        settings=settings,
        context=context,
        encoding=encoding,
        replay=replay,
        form=_checked_form(form),
        commands=commands,
    )


def _annotated(line: str) -> tuple[str, str | None]:
    """Return a ``%%rlm`` line without the annotation of its name, and that: a type's quotes and
    spaces are not those of a shell."""
    found = _ANNOTATION.match(line)
    if found is None:
        return line, None
    return f"{found['name']} {found['rest'] or ''}", found["form"].strip()


def _checked_form(form: str | None) -> str | None:
    """Return the form as it is written, if it may be one: what names it uses is known in the kernel
    alone, and if it is a file is looked for later. Raises ``UsageError``."""
    if form is None or form.endswith(".json"):
        return form
    with suppress(UnknownName):
        form_of_text(form, "the answer's form")
    return form


def complete(code: str, cursor_pos: int) -> Completion | None:
    """Return candidates on a ``%%rlm`` line or a ``%rlm`` line at the top of a cell.

    None where the cursor is elsewhere, and where anything may stand (a path, a variable).
    """
    *above, line = code[:cursor_pos].split("\n")
    if _top(above) < len(above):
        return None
    fragment = re.findall(r"\S*$", line)[0]
    first, *words = line[: len(line) - len(fragment)].split() or [""]
    if first == "%%rlm":
        found = _on_question(words, fragment)
    elif first == "%rlm":
        found = _on_command(words, fragment)
    else:
        return None
    if found is None:
        return None
    matches = [word for word in found if word.startswith(fragment)]
    return Completion(matches, cursor_pos - len(fragment), cursor_pos)


def is_ours(code: str, cursor_pos: int) -> bool:
    """Return whether the cursor is on a line of ours."""
    end = code.find("\n", cursor_pos)
    whole = f"{code if end < 0 else code[:end]} "
    return _line(whole, len(whole)) is not None


def _line(code: str, cursor_pos: int) -> tuple[list[str], str] | None:
    """Return the words before the cursor on a line of ours, and the word that it is in."""
    *above, line = code[:cursor_pos].split("\n")
    if _top(above) < len(above):
        return None
    fragment = re.findall(r"(?:\\.|\S)*$", line)[0]
    words = line[: len(line) - len(fragment)].split()
    return (words, fragment) if words[:1] in (["%rlm"], ["%%rlm"]) else None


def wanted(code: str, cursor_pos: int) -> Wanted | None:
    """Return what names may stand at the cursor on a line of ours, be it none; None elsewhere."""
    found = _line(code, cursor_pos)
    if found is None:
        return None
    (first, *words), fragment = found
    option, equals, value = fragment.partition("=")
    if option.startswith("--") and equals:
        return Wanted(_IN_OPTION.get(option[2:], ()), value, f"{option}=")
    if words and words[-1].startswith("--") and "=" not in words[-1]:
        return Wanted(_IN_OPTION.get(words[-1][2:], ()), fragment)
    if first == "%rlm" and len(words) == 1 and not fragment.startswith("-"):
        return Wanted(_AFTER_VERB.get(words[0], ()), fragment)
    name = first == "%%rlm" and not words and bool(fragment) and not fragment.startswith("-")
    return Wanted(("variable",) if name else (), fragment)


def _on_question(words: list[str], fragment: str) -> Iterable[str] | None:
    option, equals, _ = fragment.partition("=")
    if option.startswith("--") and equals:
        return _values(option[2:], f"{option}=")
    if words and words[-1].startswith("--") and "=" not in words[-1]:
        return _values(words[-1][2:], "")
    if fragment and not fragment.startswith("-"):
        return None
    used = {word.partition("=")[0] for word in words}
    return [f"--{name}" for name in OPTIONS if f"--{name}" not in used]


def _values(option: str, before: str) -> list[str] | None:
    closed = OPTIONS[option].values if option in OPTIONS else ()
    return [before + value for value in closed] if closed else None


def _on_command(words: list[str], fragment: str) -> Iterable[str] | None:
    if not words:
        return VERBS
    verb = VERBS.get(words[0])
    if verb is None or not verb.words:
        return None
    if words[0] == "limits":
        used = {word.partition("=")[0] for word in words}
        return [word for word in verb.words if word.rstrip("=") not in used]
    if words[0] == "context":
        return verb.words if fragment.startswith("-") else None
    return verb.words if len(words) == 1 else None


def looks_like_prose(code: str) -> bool:
    """Return whether a cell that Python could not parse reads like a question to us.

    For a hint under Python's own error only. In doubt it says no.
    """
    lines = [line.strip() for line in code.strip().split("\n") if line.strip()]
    words = " ".join(lines).split()
    if len(words) < 3 or any(_CODE.search(line) for line in lines):
        return False
    if words[0] in _STATEMENTS or words[0][0] in "!?":
        return False
    plain = [re.sub(r"\W+", "", word).isalpha() for word in words]
    return sum(plain) >= 0.7 * len(words)


def near_word(code: str) -> str:
    """Return the word of ours for which the first of a cell was meant, which IPython does not know;
    empty where it is like none. For a hint under IPython's own error only."""
    first = next(iter(code.split()), "")
    return next(iter(difflib.get_close_matches(first, ("%rlm", "%%rlm"), 1, 0.75)), "")
