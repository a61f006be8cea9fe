"""The outputs of a recorded cell that runs again, shown to the front end as they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...events import Output
from ...record.equality import digest
from ...record.outputs import Collector
from .. import launcher_process

Send = Callable[[str, dict[str, Any]], None]
"""Publishes an iopub message: its type, its content."""
MAX_SENT = 4_000_000
"""Characters that are shown as they come; what is kept of more is shown in the end."""


class Showing(Collector):
    """Collects as the record did, and shows what passes the session's own filter.

    Whoever made the record may have trusted the HTML of its cells; that is no reason to trust it
    here. So there are two collectors.
    """

    def __init__(
        self, send: Send, *, recorded_html: bool, shown_html: bool, fails: bool = False
    ) -> None:
        """``fails`` says that the cell ended in an error in the record, too."""
        super().__init__(trust_html=recorded_html)
        self._send = send
        self._shown = Collector(trust_html=shown_html)
        self._sent: list[Output] = []
        self._left = MAX_SENT
        self._errors_as_text = fails and launcher_process.counts_errors()

    def add(self, kind: str, content: dict[str, Any]) -> Output | None:
        if kind == "execute_input":
            self._send(kind, content)
        shown = self._shown.add(kind, content)
        if shown is not None and self._left > 0:
            self._left -= len(str(shown))
            self._sent.append(dict(shown))
            self._show(shown)
        return super().add(kind, content)

    def settle(self) -> None:
        """Show all outputs anew where they are not what was kept: cut, cleared, or updated
        later."""
        kept = self._shown.outputs
        if digest(self._sent) == digest(kept):
            return
        self._send("clear_output", {"wait": bool(kept)})
        for output in kept:
            self._show(output)

    def _show(self, output: Output) -> None:
        if output["output_type"] == "error" and self._errors_as_text:
            output = as_text(output)
        self._send(output["output_type"], {k: v for k, v in output.items() if k != "output_type"})


def as_text(error: Output) -> Output:
    """Return an error that belongs to a notebook as text, for runners that fail by each error."""
    text = "\n".join([*error["traceback"], ""])
    return {"output_type": "stream", "name": "stderr", "text": text}
