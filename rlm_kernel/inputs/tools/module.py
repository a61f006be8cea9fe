"""A module in the making, for the kernel: what is needed of one module of the user's."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from .source import Definition, is_postponed


@dataclass
class Module:
    """``namespace`` is the user's module; ``things`` are what the names of this one are bound to;
    ``before`` names the modules that it imports from. ``tools`` and ``needs`` are as in
    ``guest.tools.define``."""

    name: str
    namespace: dict[str, Any]
    things: dict[str, object] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    constants: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    before: set[str] = field(default_factory=set)
    tools: dict[str, str] = field(default_factory=dict)
    needs: dict[str, dict[str, str]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return the module as JSON data, for ``guest.tools.define``."""
        made = {"name": self.name, "source": self._source(), "tools": self.tools}
        return {**made, "needs": self.needs}

    def _source(self) -> str:
        future = ["from __future__ import annotations\n"] if is_postponed(self.namespace) else []
        imports = [f"{line}\n" for line in sorted(self.imports)]
        constants = [f"{name} = {text}\n" for name, text in sorted(self.constants.items())]
        blocks = ["".join([*future, *imports]), "".join(constants)]
        blocks += [self.definitions[name].source for name in self._ordered()]
        return "\n".join(block for block in blocks if block)

    def _ordered(self) -> list[str]:
        """Definitions in the order in which the module made them, but after all that they need
        when they are made: in a notebook a name may have got its first meaning long before."""
        order: dict[str, None] = {}
        seen: set[tuple[str, bool]] = set()

        def emit(name: str, called: bool) -> None:
            if name not in self.definitions or (name, called) in seen:
                return
            seen.add((name, called))
            definition = self.definitions[name]
            for needed in sorted(definition.names if called else definition.first):
                emit(needed, True)
            order.setdefault(name)

        numbers = {name: number for number, name in enumerate(self.namespace)}
        for name in sorted(self.definitions, key=lambda name: numbers.get(name, len(numbers))):
            emit(name, False)
        return list(order)


def literal(value: object) -> str | None:
    """Source that gives an equal value: for what JSON has, and for tuples, sets, bytes and
    compiled patterns; None for all else."""
    try:
        if type(value) is float:
            return repr(value) if math.isfinite(value) else f"float({str(value)!r})"
        if isinstance(value, re.Pattern) and _is_plain(value.pattern):
            return f"__import__('re').compile({value.pattern!r}, {value.flags})"
        return repr(value) if _is_plain(value) else None
    except RecursionError:
        return None


def _is_plain(value: object) -> bool:
    if type(value) in (str, int, bool, bytes, type(None)):
        return True
    if type(value) is float:
        return math.isfinite(value)
    if type(value) in (list, tuple, set, frozenset):
        return all(map(_is_plain, value))  # type: ignore[call-overload]
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    return False
