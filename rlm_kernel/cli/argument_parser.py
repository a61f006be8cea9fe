"""Parsing of a command line, and errors of it that say what was meant."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from ..settings.checks import did_you_mean
from ..settings.values import OPTIONS
from .statuses import USAGE

_KEY = re.compile(r"(--(?:sub-)?api-key)(?:[ =]\S+)?(?![\w-])")
_NO_KEY = (
    "a key has no place on a command line, which other programs can read: set RLM_API_KEY, or give "
    "--api-key-file or --api-key-command"
)
_SETTINGS = {f"--{option.flag}": option for option in OPTIONS.values()}


class _Help(argparse.HelpFormatter):
    """Help whose lines end at no hyphen: names and options have some."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = self._split_lines(text, width - len(indent))
        return "\n".join(f"{indent}{line}" for line in lines)


class Parser(argparse.ArgumentParser):
    """Takes options by their whole names only: ``--api-key`` is no short form of
    ``--api-key-file``, whose value an error would show."""

    def __init__(self, **given: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Help, **given)

    def error(self, message: str) -> NoReturn:
        """End with the message, without a key that was written as an option. The usage, of half a
        screen, would hide it."""
        told = _KEY.sub(r"\1: " + _NO_KEY, message)
        self.exit(USAGE, f"{self.prog}: {told}\n{self.prog} --help lists all that it takes\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse; end with an error for what is not known, before one for what is missing."""
        words = list(sys.argv[1:] if args is None else args)
        commands = self._commands()
        if not commands:
            self._check_options(words)
        elif not words:
            self.print_help(sys.stderr)
            self.exit(USAGE)
        elif not words[0].startswith("-") and words[0] not in commands:
            near = did_you_mean(words[0], commands) or f"; there are {', '.join(commands)}"
            self.error(f"there is no command {words[0]!r}{near}")
        found, rest = super().parse_known_args(words, namespace)
        if rest:
            self.error(self._told(rest))
        return found, rest

    def _commands(self) -> list[str]:
        inner = [a for a in self._actions if isinstance(a, argparse._SubParsersAction)]
        return [name for action in inner for name in action.choices]

    def _check_options(self, words: list[str]) -> None:
        known = {name for action in self._actions for name in action.option_strings}
        for word in words:
            name = word.partition("=")[0]
            if name == "--":
                return
            if name.startswith("--") and name not in known:
                self.error(f"there is no option {name}{_meant(name, known)}")

    def _told(self, rest: list[str]) -> str:
        if rest[0].startswith("-"):
            return f"there is no option {rest[0]}"
        asks = any(action.dest == "question" for action in self._actions)
        quote = ": put a question of several words in quotes" if asks else ""
        return f"{' '.join(rest)!r} is more than it takes{quote}"


def _meant(name: str, known: set[str]) -> str:
    """Return the end of a sentence that says how to write what was meant."""
    if _KEY.fullmatch(name):
        return ""
    if name in _SETTINGS:
        return f" here; set {_SETTINGS[name].variable}"
    return did_you_mean(name, sorted(known))
