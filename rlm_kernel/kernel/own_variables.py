"""The variables of the human's own cells, where these run in another process than the LM's."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Container, MutableMapping
from typing import Any

from ..answers import Answer
from ..errors import UsageError
from ..inputs import contexts
from ..inputs.contexts import Source
from ..inputs.forms import Form, form_of

_NONE = object()


class OwnVariables:
    """Gives copies of variables to the LM's kernel, and takes copies of answers. ``names`` are
    those of the process, of which ``hidden`` ones are not the human's."""

    def __init__(self, names: MutableMapping[str, Any], hidden: Container[str] = ()) -> None:
        self._names = names
        self._hidden = hidden
        self._passed_over: object = _NONE

    def listed(self) -> list[str]:
        """Return the names that a human has given."""
        return [n for n in list(self._names) if not n.startswith("_") and n not in self._hidden]

    def source(self, name: str | None) -> Source | None:
        """Return a copy of a variable, by default of ``context``, if there is one and no other
        context was given since it was bound. Raises ``ContextError``. Blocks."""
        value = self._names.get(name or "context", _NONE)
        if value is _NONE or (name is None and value is self._passed_over):
            return None
        return contexts.from_value(value)

    def pass_over(self) -> None:
        """Note that another context was given than what ``context`` is now."""
        self._passed_over = self._names.get("context", _NONE)

    def form(self, text: str) -> Form:
        """Return the form that a type expression says, which may name classes. Raises
        ``UsageError``."""
        try:
            wanted = eval(text, dict(self._names))
        except Exception as error:
            raise UsageError(f"answer={text}: {type(error).__name__}: {error}") from error
        return form_of(wanted)

    def take(self, name: str, answer: Answer, form: Form | None) -> None:
        """Bind a copy of an answer: an object of the form where that is one's own, a DataFrame
        where pandas is there, plain JSON data, or else its text. Blocks."""
        if form is not None and form.refused(answer) is None:
            self._names[name] = form.value_of(answer)
        elif answer.value is None:
            self._names[name] = answer.text
        else:
            self._names[name] = _framed(answer.json) if answer.type == "DataFrame" else answer.json


def _framed(table: Any) -> Any:
    """Return a table as a DataFrame; as it is where it is only the head of one."""
    if table.get("cut") or importlib.util.find_spec("pandas") is None:
        return table
    pandas = importlib.import_module("pandas")
    return pandas.DataFrame(table["rows"], columns=table["columns"], index=table.get("index"))
