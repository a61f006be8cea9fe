"""Contexts by the names that a human gives them: paths and variables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ContextError
from ..inputs import contexts
from ..inputs.contexts import Source
from ..repl.repl import Repl
from .own_variables import OwnVariables

NO_CONTEXT = (
    "there is no context yet: write `%rlm context PATH` above the question, or --context PATH, or "
    "bind the variable `context` in a cell"
)


class NamedContexts:
    """Finds what a name means. ``excluded`` gives the patterns that hold with a cell's options;
    ``own`` are the variables of the human's own process, where there is one."""

    def __init__(
        self, excluded: Callable[[Mapping[str, Any]], Sequence[str]], own: OwnVariables | None
    ) -> None:
        self._excluded = excluded
        self._own = own

    async def about(
        self, repl: Repl, named: str | None, encoding: str | None, settings: Mapping[str, Any]
    ) -> Source | str:
        """Return the source that a path or a variable of the human's own names, or the name of a
        variable of the kernel, by default ``context``. Raises ``ContextError``."""
        is_name = named is None or (named.isidentifier() and encoding is None)
        if self._own is not None and is_name:
            source = await asyncio.to_thread(self._own.source, named)
            if source is not None:
                return source
        if named is None:
            return "context"
        if is_name and (named in repl.names or not Path(named).exists()):
            return named
        exclude = self._excluded(settings)
        return await asyncio.to_thread(
            contexts.from_path, named, encoding=encoding, exclude=exclude
        )

    async def check(self, repl: Repl, variable: str) -> None:
        """Raise ``ContextError`` if there is no such variable, before anything is recorded."""
        try:
            await repl.find(variable)
        except ContextError as error:
            if variable == "context":
                raise ContextError(NO_CONTEXT) from error
            raise ContextError(f"{error}; and there is no file {variable!r}") from error
