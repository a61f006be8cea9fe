"""The things that ``%load_ext rlm_kernel`` puts into a shell, and ``%unload_ext`` takes out."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.magic import no_var_expand

from ...environments.local.privacy import hide_from_others
from ..help import help_text
from .magics import END_SECONDS, Magics

NAME = "rlm"
WHOLE = "rlm_cell"
"""The cell magic behind which a cell stands that is ours as a whole."""
GUEST = "rlm_guest"
"""The module that is there in a kernel of ours alone."""
OURS = "This is the kernel RLM: %%rlm and %rlm are there already, and nothing was loaded."
SHUTDOWN_SECONDS = 4.0
"""Seconds that a shutdown waits for the record's end: Jupyter kills a kernel after 5 s."""


class Loaded:
    """The words of ours in one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._magics = Magics(shell)
        self._matcher = self._made_matcher()
        self._transform = self._made_transform()

    def load(self) -> None:
        shell = self._shell
        for kind, name, magic in self._made_magics():
            shell.register_magic_function(magic, magic_kind=kind, magic_name=name)
        shell.input_transformers_cleanup.insert(0, self._transform)
        shell.Completer.custom_matchers.append(self._matcher)
        shell.observe(self._exits, "exit_now")
        self._magics.start()

    def unload(self) -> None:
        shell = self._shell
        shell.unobserve(self._exits, "exit_now")
        shell.Completer.custom_matchers.remove(self._matcher)
        shell.input_transformers_cleanup.remove(self._transform)
        for kind, name, _ in self._made_magics():
            shell.magics_manager.magics[kind].pop(name, None)
        self._magics.close(END_SECONDS)

    def _exits(self, change: Any) -> None:
        if change["new"]:
            self._magics.close(SHUTDOWN_SECONDS)

    def _made_magics(self) -> list[tuple[str, str, Any]]:
        @no_var_expand
        def line(line: str) -> None:
            self._magics.run(f"%rlm {line}")

        @no_var_expand
        def cell(line: str, cell: str) -> None:
            self._magics.run(f"%%rlm {line}\n{cell}")

        @no_var_expand
        def whole(line: str, cell: str) -> None:
            self._magics.run(cell)

        line.__doc__ = cell.__doc__ = whole.__doc__ = help_text()
        return [("line", NAME, line), ("cell", NAME, cell), ("cell", WHOLE, whole)]

    def _made_transform(self) -> Any:
        def transform(lines: list[str]) -> list[str]:
            """Return a cell behind a magic of ours where IPython would read it line by line."""
            return [f"%%{WHOLE}\n", *lines] if self._magics.is_whole("".join(lines)) else lines

        transform.has_side_effects = True  # type: ignore[attr-defined]  # not while it is typed
        return transform

    def _made_matcher(self) -> Any:
        @context_matcher(identifier=NAME)  # type: ignore[untyped-decorator]
        def complete(context: CompletionContext) -> SimpleMatcherResult:
            above = context.full_text.split("\n")[: context.cursor_line]
            before = "\n".join([*above, context.text_until_cursor])
            found = self._magics.complete(context.full_text, len(before))
            if found is None:
                return {"completions": []}
            return {
                "completions": [SimpleCompletion(text) for text in found.matches],
                "matched_fragment": before[found.start :],
                "suppress": True,
            }

        return complete


_loaded: dict[int, Loaded] = {}


def load(shell: Any) -> None:
    """Put the magics into a shell, once."""
    if GUEST in sys.modules:
        print(OURS)
    elif id(shell) not in _loaded:
        hide_from_others()
        loaded = Loaded(shell)
        loaded.load()
        _loaded[id(shell)] = loaded


def unload(shell: Any) -> None:
    """Take them out again, and end what they started."""
    loaded = _loaded.pop(id(shell), None)
    if loaded is not None:
        loaded.unload()
