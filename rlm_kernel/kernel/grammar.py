"""The grammar of our own words in a notebook: the options of ``%%rlm``, the verbs of ``%rlm``.

``OPTIONS`` and ``VERBS`` are all of it; reading, completion and help are made from them. Nothing
here looks at files, variables or what is in force.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Mapping
from typing import Any

from ..errors import UsageError
from ..guide import TOPICS
from ..settings.option import Face, Group, Option
from ..settings.resolved import LIMIT_NAMES, SECRETS, checked, did_you_mean
from ..settings.resolved import OPTIONS as SETTINGS
from .words import REPLAY as REPLAY
from .words import CellOption as CellOption
from .words import Command as Command
from .words import Verb

ANSWER = "answer_"
"""The variable that holds an answer where a question names none."""
MODES = ("ask", "python")
TRUST = ("html", "off")
CELLS = ("on", "off", "fold", "remove")
DEFAULT = "default"
"""The value that takes a setting back."""


def command(line: str) -> Command:
    """Read what stands after ``%rlm``. Raises ``UsageError``, with the verb's usage."""
    if line.split()[:1] == ["tell"]:  # a sentence, with quotes and apostrophes of its own
        return Command("tell", line.strip()[4:].strip())
    words = shell_words(line, "quote a name that has a quote in it") or ["status"]
    # A key must not stand in the error either.
    name = words[0].partition("=")[0].lstrip("-")
    if words[0] not in VERBS:
        _refuse_key(name)
        _refuse_equals(words[0])
        near = did_you_mean(name, VERBS) or ";"
        raise UsageError(f"unknown word {name!r} after %rlm{near} %rlm help lists them")
    verb = VERBS[words[0]]
    try:
        return verb.read(words[0], words[1:])
    except UsageError as error:
        usage = f"%rlm {words[0]} {verb.arguments}".rstrip()
        end = "" if str(error).endswith("?") else "."
        raise UsageError(f"{error}{end} Usage: {usage}") from None


def _refuse_equals(word: str) -> None:
    """Raise ``UsageError`` for NAME=VALUE of a name that is known: it is written otherwise."""
    name, equals, _ = word.lstrip("-").partition("=")
    limit = name.replace("-", "_").removeprefix("max_")
    if equals and f"max_{limit}" in LIMIT_NAMES:
        raise UsageError(f"{name} is a limit: write %rlm limits {limit}=VALUE")
    if equals and name in VERBS:
        raise UsageError(f"write %rlm {name} {VERBS[name].arguments}".rstrip())


def shell_words(line: str, advice: str) -> list[str]:
    """Return the words of a line, quoted as in a shell. Raises ``UsageError`` with ``advice``."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{str(error).lower()}: {advice}") from None


def _refuse_key(name: str) -> None:
    setting = name.replace("-", "_")
    if setting in SECRETS:
        variable = SETTINGS[setting].variable
        raise UsageError(
            f"a key would stand in the notebook: %rlm key asks for it, or set {variable} in the "
            f"environment in which Jupyter is started, or c.RLM.{setting} in jupyter_rlm_config.py"
        )


def read_options(
    words: list[str], options: Mapping[str, CellOption]
) -> tuple[list[str], dict[str, str]]:
    """Return the other words, and the options' values by name. Raises ``UsageError``."""
    plain: list[str] = []
    given: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not _is_option(word):
            plain.append(word)
            continue
        name, _, value = word.lstrip("-").partition("=")
        _check_option(name, given, options)
        if "=" not in word:
            value = next(rest, "")
        if not value or ("=" not in word and _is_option(value)):
            raise UsageError(f"--{name} needs a value: --{name} {options[name].value}")
        given[name] = f"{given[name]},{value}" if name in given else value
    return plain, given


def _is_option(word: str) -> bool:
    return re.match(r"--?[A-Za-z]", word) is not None


def _check_option(name: str, given: Container[str], options: Mapping[str, CellOption]) -> None:
    if name in given and not options[name].several:
        raise UsageError(f"--{name} is given twice")
    if name in options:
        return
    _refuse_key(name)
    if name in VERBS and DEFAULT in VERBS[name].words:
        raise UsageError(f"--{name} is no option: it is set for the session, by %rlm {name}")
    meant = f"max-{name}" if f"max-{name}" in options else name
    near = did_you_mean(f"--{meant}", [f"--{option}" for option in options]) or ";"
    raise UsageError(f"unknown option '--{name}'{near} %rlm help lists them")


def check_one_of(value: str, values: tuple[str, ...], label: str) -> None:
    """Raises ``UsageError``, which calls the value ``label``."""
    if value not in values:
        raise UsageError(f"{label}: give {', '.join(values[:-1])} or {values[-1]}")


def _one(words: list[str], most: int = 1) -> str | None:
    """Return the first word, if any. Raises ``UsageError`` for more than ``most``."""
    if len(words) > most:
        raise UsageError(f"{words[most]!r} is one word too many (quote a name that has spaces)")
    return words[0] if words else None


def _alone(verb: str, words: list[str]) -> Command:
    _one(words, most=0)
    return Command(verb)


def _named(verb: str, words: list[str]) -> Command:
    return Command(verb, _one(words))


def _back(verb: str, words: list[str]) -> Command:
    value = _one(words)
    if value is not None and not (value.isdecimal() and int(value)):
        raise UsageError(f"{value!r} is not the number of a cell")
    return Command(verb, value)


def _fork(verb: str, words: list[str]) -> Command:
    plain, given = read_options(words, FORK_OPTIONS)
    _one(plain, most=0)
    count = given.get("branches", "1")
    if not count.isdecimal():
        raise UsageError(f"--branches {count!r}: give a number")
    return Command(verb, options=given)


def _mode(verb: str, words: list[str]) -> Command:
    value = _one(words)
    if value is not None:
        check_one_of(value, VERBS[verb].words, repr(value))
    return Command(verb, value)


def _key(verb: str, words: list[str]) -> Command:
    if words and words != ["sub"] and words != ["forget"]:  # what stands there may be a key
        raise UsageError("a key would stand in the notebook: %rlm key alone asks for it")
    return Command(verb, words[0] if words else None)


def _replay(verb: str, words: list[str]) -> Command:
    """Read a mode and perhaps a folder; else a replay begins, of a path or of what is named."""
    if words and words[0] in REPLAY:
        _one(words, most=2)
        return Command(verb, words[0], folder=words[1] if len(words) > 1 else None)
    plain, given = read_options(words, REPLAY_OPTIONS)
    return Command(verb, _one(plain), options=given)


def _context(verb: str, words: list[str]) -> Command:
    known = ("encoding", "exclude")
    plain, given = read_options(words, {name: OPTIONS[name] for name in known})
    value = _one(plain)
    if value is None and given:
        raise UsageError(f"--{next(iter(given))} needs a context to be read by it")
    settings = {n: checked(n, given[n], f"--{n}") for n in ("exclude",) if n in given}
    return Command(verb, value, encoding=given.get("encoding"), settings=settings)


def _setting(verb: str, words: list[str]) -> Command:
    name, value = SETTING_VERBS[verb], _one(words)
    if value == DEFAULT:
        return Command(verb, reset=(name,))
    if value is None:
        return Command(verb)
    return Command(verb, settings={name: checked(name, value, f"%rlm {verb}")})


def _limits(verb: str, words: list[str]) -> Command:
    if words == [DEFAULT]:
        return Command(verb, reset=tuple(LIMIT_NAMES))
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        field = name.replace("-", "_").removeprefix("max_")
        if f"max_{field}" not in LIMIT_NAMES:
            near = did_you_mean(field, LIMIT_NAMES.values())
            raise UsageError(f"unknown limit {name!r}{near}")
        if not equals:
            raise UsageError(f"{word!r} has no value: write {word}=VALUE, without spaces")
        if f"max_{field}" in given:
            raise UsageError(f"{name} is given twice")
        given[f"max_{field}"] = value
    reset = tuple(name for name, value in given.items() if value == DEFAULT)
    settings = {
        name: checked(name, value, f"%rlm limits {LIMIT_NAMES[name]}")
        for name, value in given.items()
        if value != DEFAULT
    }
    return Command(verb, settings=settings, reset=reset)


def _cell_option(option: Option) -> CellOption:
    several = option.kind is tuple
    return CellOption(option.placeholder, option.help, option.choices, several)


def _continue(verb: str, words: list[str]) -> Command:
    plain, given = read_options(words, OPTIONS)
    other = [f"--{name}" for name in given if name not in SETTING_OPTIONS]
    if plain or other:
        raise UsageError(f"{(plain + other)[0]!r} cannot stand here: write a word to the LM below")
    return Command(verb, settings=settings_of(given))


def settings_of(given: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings among a cell's options by their names, checked."""
    return {
        setting: checked(setting, given[option], f"--{option}")
        for option, setting in SETTING_OPTIONS.items()
        if option in given
    }


def _setting_verb(option: Option) -> Verb:
    arguments = f"[{option.placeholder}|{DEFAULT}]"
    return Verb(arguments, option.help, _setting, (*option.choices, DEFAULT))


def _choice(values: tuple[str, ...], what: str) -> Verb:
    return Verb(f"[{'|'.join(values)}]", what, _mode, values)


SETTING_OPTIONS = {o.flag: name for name, o in SETTINGS.items() if Face.CELL in o.faces}
"""Those of ``%%rlm`` that are settings or limits, and the names of these."""
SETTING_VERBS = {
    o.flag: name
    for name, o in SETTINGS.items()
    if Face.LINE in o.faces and o.group is not Group.LIMIT
}
"""The words after ``%rlm`` that are settings; limits are set by a word of their own."""
OPTIONS = {
    "context": CellOption("PATH|VARIABLE", "what this question is about"),
    "encoding": CellOption("E", "of a text context; found out by default"),
    "answer": CellOption("FORM", "what the answer must be: number, list[str], a JSON Schema, ..."),
    "replay": CellOption("|".join(REPLAY), "whether a recorded run may answer", REPLAY),
    **{option: _cell_option(SETTINGS[name]) for option, name in SETTING_OPTIONS.items()},
}
"""The options of ``%%rlm``."""
REPLAY_OPTIONS = {
    "run": CellOption("NAME", "the run whose trajectory it is"),
    "node": CellOption("N", "its node"),
    "context": CellOption("PATH", "the context, where it lies nowhere else"),
}
"""The options of a ``%rlm replay`` that begins one."""
FORK_OPTIONS = {
    "branches": CellOption("N", "how often at once"),
    "note": CellOption("TEXT", "a word to the LM"),
}
"""The options of ``%rlm fork``."""
VERBS = {
    "status": Verb("", "say what is in force and what was spent; so does %rlm alone", _alone),
    "context": Verb(
        "[PATH|VARIABLE] [--encoding E] [--exclude PATTERNS]",
        "what the questions are about",
        _context,
        ("--encoding", "--exclude"),
    ),
    **{verb: _setting_verb(SETTINGS[name]) for verb, name in SETTING_VERBS.items()},
    "limits": Verb(
        f"[NAME=VALUE ...|{DEFAULT}]",
        f"what a run may use: {', '.join(LIMIT_NAMES.values())}",
        _limits,
        (*(f"{field}=" for field in LIMIT_NAMES.values()), DEFAULT),
    ),
    "key": Verb(
        "[sub|forget]",
        "ask for the endpoint's key, or the sub-LM's, at a prompt, for this kernel's memory alone",
        _key,
        ("sub", "forget"),
    ),
    "continue": Verb(
        "[OPTIONS]",
        "let the LM go on from here, in the same kernel; your word to it may stand below",
        _continue,
    ),
    "tell": Verb(
        "TEXT",
        "from another cell: a word to the LM that is at work, which it reads before its next turn",
        _alone,
    ),
    "runs": Verb("", "list the runs in the notebook's folder, those of older kernels too", _alone),
    "open": Verb("[RUN]", "link to a run's trajectory, by default the last one's", _named),
    "watch": Verb(
        "[RUN]", "show a run as its record tells it until it ends; also while a cell runs", _named
    ),
    "cost": Verb("", "say what this kernel and all runs of the folder have spent", _alone),
    "stop": Verb("", "end the run that goes on", _alone),
    "replay": Verb(
        f"[{'|'.join(REPLAY)} [FOLDER]|PATH] [--context PATH]",
        "whether recorded runs may answer; in a trajectory: run its cells again from here on",
        _replay,
        REPLAY,
    ),
    "back": Verb(
        "[N]",
        "put the kernel back to where it was after cell N, all objects alive; list the cells",
        _back,
    ),
    "fork": Verb(
        "[--branches N] [--note TEXT]",
        "let the LM go on from here N times at once, each in a fork of this kernel, which stays",
        _fork,
        ("--branches", "--note"),
    ),
    "verdict": Verb("", "end a replay, and say whether all was as recorded", _alone),
    "mode": _choice(MODES, "whether plain text in a cell is a question or Python"),
    "trust": _choice(TRUST, "whether the LM's cells may show HTML as it is"),
    "cells": _choice(
        CELLS, "whether the LM's cells become cells of this notebook; fold or remove the last ones"
    ),
    "take": Verb(
        "[TURN|all]",
        "make a cell of the code of a turn of the last question; or a notebook of all of it",
        _named,
        ("all",),
    ),
    "help": Verb("[TOPIC]", "show this, or a page of the guide", _named, TOPICS),
}
"""The words after ``%rlm``."""
