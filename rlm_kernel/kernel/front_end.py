"""The front end's side of a cell: what it shows while it runs, and the reply at its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ..environments.messages import Message
from ..record.filters import for_terminal
from .display.card import Bundle

GONE = "rlm_kernel was removed or updated while this kernel ran: restart the kernel"
ExecuteReply = tuple[dict[str, Any], dict[str, Any]]
"""The content and the metadata of an ``execute_reply``."""


class FrontEnd(Protocol):
    """The Jupyter side; called on the engine's loop."""

    def publish(self, message: Message) -> None: ...

    def send(self, kind: str, content: dict[str, Any], parent: Message) -> None: ...

    def ask_input(self, request: Message) -> None: ...

    def say(self, line: str) -> None: ...


class Execution:
    """One ``execute_request`` while it is served.

    ``count`` is the number of its cell, and until it has one that of the cell before;
    ``interrupted`` says that the human stopped it.
    """

    def __init__(self, front_end: FrontEnd, request: Message, count: int) -> None:
        self._front_end = front_end
        self.request = request
        self.count = count
        self.interrupted = False
        self.asks = False
        """True once an LM is asked by it."""
        self._shown: list[tuple[str, dict[str, Any]]] = []
        self._below: dict[str, Any] | None = None
        self.heard: Callable[[str, dict[str, Any]], None] | None = None
        """Is told of each message that the cell causes, if set."""

    @property
    def code(self) -> str:
        return str(self.request["content"]["code"])

    def send(self, kind: str, content: dict[str, Any]) -> None:
        """Publish a message that the cell caused."""
        self._front_end.send(kind, content, self.request)
        if self.heard is not None:
            self.heard(kind, content)

    def tell(self, line: str, stream: str = "stdout") -> None:
        """Show a line of ours below the cell."""
        self._show("stream", {"name": stream, "text": f"{line}\n"})

    def show(self, bundle: Bundle) -> None:
        """Show a display below the cell."""
        self._show("display_data", {"data": bundle, "metadata": {}})

    def _show(self, kind: str, content: dict[str, Any]) -> None:
        self._shown.append((kind, content))
        self.send(kind, content)

    def show_again(self) -> None:
        """Show what was told and shown so far once more, after it was cleared."""
        for kind, content in self._shown:
            self.send(kind, content)

    def put_below(self, source: str) -> None:
        """Let the front end put a cell with this source below. It takes one."""
        self._below = {"source": "set_next_input", "text": source, "replace": False}

    def with_cells(self, reply: ExecuteReply) -> ExecuteReply:
        """Return the reply with what is to be put below the cell."""
        content, metadata = reply
        if self._below is None or content["status"] != "ok":
            return reply
        return {**content, "payload": [*content.get("payload", []), self._below]}, metadata

    def done(self) -> ExecuteReply:
        """Return the reply to a cell that ended well."""
        empty: dict[str, Any] = {"user_expressions": {}, "payload": []}
        return {"status": "ok", "execution_count": self.count, **empty}, {}

    def failed(self, name: str, text: str) -> ExecuteReply:
        """Show an error of ours, which has no traceback: its text says all. Return the reply."""
        text = for_terminal(text)
        if not Path(__file__).is_file():
            text = f"{GONE} ({text})"
        error = {"ename": name, "evalue": text, "traceback": [f"\x1b[0;31m{name}\x1b[0m: {text}"]}
        self.send("error", error)
        return {"status": "error", "execution_count": self.count, **error}, {}
