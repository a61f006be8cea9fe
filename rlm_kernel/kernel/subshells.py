"""The subshells that front ends have asked for: their names, and the requests about them."""

from __future__ import annotations

import uuid
from typing import Any

from ..errors import UsageError


class Subshells:
    """Knows names only: the inner kernel has a subshell of each once something is asked in it."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def answer(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Return the reply to a request to create, delete or list. Raises ``UsageError``."""
        match kind:
            case "create_subshell_request":
                self._names.append(uuid.uuid4().hex)
                return {"status": "ok", "subshell_id": self._names[-1]}
            case "delete_subshell_request":
                if (name := content.get("subshell_id")) not in self._names:
                    raise UsageError(f"there is no subshell {name!r:.80}")
                self._names.remove(str(name))
                return {"status": "ok"}
        return {"status": "ok", "subshell_id": list(self._names)}
