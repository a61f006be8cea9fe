"""Cells as a page is to show them, and what is sent of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from ...events import Output
from ...record.filters import for_terminal
from ...record.notebooks.cells import as_kept, as_shown

PROTOCOL = 1
"""The version of what pages and this kernel tell each other."""
OUTPUT_CHARS = 4_000_000
"""The most that is sent of a cell's outputs."""
RUNNING_CHARS = 200_000
"""The most of them while the cell runs."""
RUNNING_OUTPUTS = 100
"""The most outputs of a cell that runs."""

State = Literal["writing", "running", "ok", "error", "timeout", "interrupted", "died", "stopped"]
UNDER_WAY = ("writing", "running")
"""States of a cell that something may still come of."""
FIELDS = ("source", "state", "outputs", "count", "badge")
"""The fields of a cell that change."""


@dataclass
class ShownCell:
    """A cell that an LM wrote. ``key`` orders the cells of a run; ``badge`` says in a line what it
    took. Outputs are nbformat's, and have been through the filter."""

    key: str
    turn: int
    kind: Literal["markdown", "code"]
    source: str = ""
    state: State = "writing"
    outputs: list[Output] = field(default_factory=list)
    count: int | None = None
    badge: str = ""
    number: int | None = None
    """The kernel's number of it, once it ran."""

    def told(self, fields: Collection[str]) -> dict[str, Any]:
        """Return these fields as JSON data, with what names the cell."""
        known = {"key": self.key, "turn": self.turn, "kind": self.kind}
        known |= {name: getattr(self, name) for name in FIELDS if name in fields}
        if "outputs" in known:
            most = RUNNING_CHARS if self.state in UNDER_WAY else OUTPUT_CHARS
            shown = [as_shown(output, self.source, self.count) for output in self.outputs]
            known["outputs"] = bounded(shown, most)
        return known


def bounded(outputs: list[Output], most: int) -> list[Output]:
    """Return the outputs in at most about so many characters: those that have no room are counted,
    and the last error has some."""
    kept: list[Output] = []
    left_out, room = 0, most
    for output in map(as_kept, outputs):
        size = _size(output)
        if size > room and output["output_type"] != "error":
            left_out += 1
            continue
        room -= size
        kept.append(output)
    if left_out:
        note = f"… {left_out:,} more outputs, in the trajectory …\n"
        kept.append({"output_type": "stream", "name": "stderr", "text": note})
    return kept


def _size(output: Output) -> int:
    match output["output_type"]:
        case "stream":
            return len(output["text"])
        case "error":
            return len(output["evalue"]) + sum(map(len, output["traceback"]))
    return sum(len(str(value)) for value in output["data"].values())


def put_out(outputs: list[Output], output: Output, most: int = RUNNING_OUTPUTS) -> None:
    """Add an output to those of a cell that runs; a stream goes on. Where there are ``most``, the
    rest waits for the cell's end."""
    last = outputs[-1] if outputs else {}
    same = output["output_type"] == "stream" and last.get("name") == output["name"]
    if same and last["output_type"] == "stream":
        outputs[-1] = {**last, "text": (last["text"] + output["text"])[-RUNNING_CHARS:]}
        return
    if len(outputs) < most:
        outputs.append(output)


class AskingOutputs:
    """The outputs of the cell that asks, made of the messages that it causes."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self._displays: dict[str, int] = {}
        self._clears = False
        """The next output takes the place of all that are there."""

    def take(self, kind: str, content: dict[str, Any]) -> bool:
        """Take a message, and return whether it changed the outputs."""
        if kind == "clear_output":
            self._clears = True
            return False
        if self._clears and kind in ("display_data", "execute_result", "stream", "error"):
            self.outputs, self._displays, self._clears = [], {}, False
        display = str((content.get("transient") or {}).get("display_id") or "")
        match kind:
            case "update_display_data":
                if display not in self._displays:
                    return False
                self.outputs[self._displays[display]] = _output("display_data", content)
            case "display_data" | "execute_result":
                if display:
                    self._displays[display] = len(self.outputs)
                self.outputs.append(_output(kind, content))
            case "stream" | "error":
                put_out(self.outputs, _output(kind, content), most=1_000)
            case _:
                return False
        return True

    @property
    def line(self) -> str:
        """Return how far the run is, or how it ended, in a line for a person."""
        shown = self.outputs[0].get("data", {}) if self.outputs else {}
        return for_terminal(str(shown.get("text/plain", ""))).partition("\n")[0]


def _output(kind: str, content: dict[str, Any]) -> Output:
    parts = {name: value for name, value in content.items() if name != "transient"}
    return as_kept({"output_type": kind, **parts})
