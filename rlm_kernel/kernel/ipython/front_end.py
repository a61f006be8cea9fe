"""The front end of a plain IPython: each cell that asks shows what it causes, on its own thread."""

from __future__ import annotations

import contextlib
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from IPython.display import clear_output, display

from ...environments.messages import Message
from ...record.filters import for_terminal


@dataclass(frozen=True)
class Step:
    """A step of a cell: to show something (``kind`` is that of an iopub message), or ask for
    a line (``input_request``)."""

    kind: str
    content: dict[str, Any]


Steps = queue.SimpleQueue[Step | None]
"""The steps of one cell; None when it has ended."""


class CellFrontEnd:
    """See ``FrontEnd``. What no cell that runs here has caused is left out."""

    def __init__(self) -> None:
        self._steps: dict[str, Steps] = {}

    @contextmanager
    def heard(self, request: Message) -> Iterator[Steps]:
        """Give what comes for the cell of this request while the body runs."""
        identity = request["header"]["msg_id"]
        self._steps[identity] = queue.SimpleQueue()
        try:
            yield self._steps[identity]
        finally:
            del self._steps[identity]

    def publish(self, message: Message) -> None:
        self._put(message["msg_type"], message["content"], message["parent_header"])

    def send(self, kind: str, content: dict[str, Any], parent: Message) -> None:
        self._put(kind, content, parent["header"])

    def ask_input(self, request: Message) -> None:
        self._put("input_request", request["content"], request["parent_header"])

    def say(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            print(for_terminal(f"[rlm] {line}"), file=sys.__stderr__, flush=True)

    def _put(self, kind: str, content: dict[str, Any], header: dict[str, Any]) -> None:
        steps = self._steps.get(header.get("msg_id", ""))
        if steps is not None:
            steps.put(Step(kind, content))


class Screen:
    """Shows the messages of one cell by IPython's own means; without ``updates``, as on a terminal,
    nothing that only changes what is shown already."""

    def __init__(self, *, updates: bool) -> None:
        self._updates = updates

    def show(self, step: Step) -> None:
        content = step.content
        match step.kind:
            case "stream":
                stream = sys.stderr if content["name"] == "stderr" else sys.stdout
                stream.write(content["text"])
                stream.flush()
            case "display_data" | "execute_result":
                self._display(content)
            case "update_display_data" if self._updates:
                self._display(content, update=True)
            case "clear_output" if self._updates:
                clear_output(wait=content["wait"])  # type: ignore[no-untyped-call]

    def _display(self, content: dict[str, Any], *, update: bool = False) -> None:
        identity = content.get("transient", {}).get("display_id")
        about = {} if identity is None else {"display_id": identity, "update": update}
        shown = {"metadata": content["metadata"], "raw": True, **about}
        display(content["data"], **shown)  # type: ignore[no-untyped-call]
