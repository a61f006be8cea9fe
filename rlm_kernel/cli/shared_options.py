"""Options that several commands take."""

from __future__ import annotations

import argparse

from ..settings.option import Face, Group
from ..settings.values import OPTIONS


class _Joined(argparse.Action):
    """Names that may come in several options, as one text with commas."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, self.dest)
        setattr(namespace, self.dest, str(values) if given is None else f"{given},{values}")


class Once(argparse.Action):
    """A context, of which a run has one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest) is not None:
            raise argparse.ArgumentError(
                self, "is given twice: a run has one context, which may be a folder of files"
            )
        setattr(namespace, self.dest, values)


def add_settings(parser: argparse.ArgumentParser, *groups: Group) -> None:
    """Add the options of these groups that a command line has."""
    for option in OPTIONS.values():
        if option.group in groups and Face.COMMAND in option.faces:
            parser.add_argument(
                f"--{option.flag}",
                dest=option.name,
                action=_Joined if option.kind is tuple else "store",
                metavar=option.placeholder,
                help=option.help.replace("%", "%%"),
            )


def add_answer_options(parser: argparse.ArgumentParser, *, out: bool = True) -> None:
    """Add who answers, where, at what cost, and how it is told; with ``out`` where it is kept."""
    groups = (Group.LM, Group.CONSENT, Group.PLACE, Group.LIMIT)
    add_settings(parser, *groups, *([Group.FOLDER] if out else []))
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
