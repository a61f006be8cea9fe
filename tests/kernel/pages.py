"""A page of the notebook, as the kernel sees it: it opens the comm and does what it is told."""

from __future__ import annotations

import itertools
from typing import Any

from harness import Front

Cell = dict[str, Any]
_comms = itertools.count(1)


class Page:
    """One page with an open comm. ``cells`` are the LM's of the newest run by their key, ``asked``
    those that asked by their id; both have all the fields that were told."""

    def __init__(self, front: Front, *, done: list[str] | None = None, version: int = 1) -> None:
        self.front = front
        self.comm = f"comm-{next(_comms)}"
        self.told: list[dict[str, Any]] = []
        self._read = 0
        data = {"version": version, "tab": self.comm, "done": done or []}
        content = {"comm_id": self.comm, "target_name": "rlm.ui", "data": data}
        front.send("comm_open", content)
        self.until(lambda: self._of("welcome", "refused"), "a welcome")

    def say(self, **data: Any) -> None:
        self.front.send("comm_msg", {"comm_id": self.comm, "data": data})

    def close(self) -> None:
        self.front.send("comm_close", {"comm_id": self.comm, "data": {}})

    def ask(self, question: str, cell: str = "asking") -> Any:
        """Ask by a cell of the notebook, and return the outcome."""
        outcome = self.front.finish(self.front.start(question, cell=cell))
        self._take()
        return outcome

    def until(self, done: Any, what: str) -> Any:
        """Wait until what was told makes this true."""
        return self.front.until(lambda: self._take() or done(), what)

    def _take(self) -> None:
        heard = self.front.heard[self._read :]
        self._read = len(self.front.heard)
        for message in heard:
            content = message["content"]
            if message["msg_type"] == "comm_msg" and content["comm_id"] == self.comm:
                self.told.append(content["data"])

    def _of(self, *types: str) -> list[dict[str, Any]]:
        return [told for told in self.told if told["type"] in types]

    @property
    def cells(self) -> dict[str, Cell]:
        """The LM's cells as they are now, by the end of their key, in its order."""
        found: dict[str, Cell] = {}
        for told in self._of("cell", "removed"):
            if told["type"] == "removed":
                found.pop(told["key"], None)
            else:
                found[told["key"]] = found.get(told["key"], {}) | told
        runs = [told["run"] for told in self._of("question")]
        return {key: cell for key, cell in sorted(found.items()) if cell["run"] == runs[-1]}

    @property
    def asked(self) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for told in self._of("question"):
            found[told["after"]] = found.get(told["after"], {}) | told
        return found

    @property
    def sources(self) -> list[str]:
        return [cell["source"] for cell in self.cells.values()]
