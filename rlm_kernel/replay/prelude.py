"""The cells run in a kernel before a question, which its record needs in order to replay alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

from ..events import (
    ROOT,
    CallEnded,
    CallStarted,
    CellDecided,
    CellProposed,
    CellRan,
    CellStarted,
    ContextInfo,
    ContextSet,
    Event,
    KernelRestarted,
    NodeEnded,
    NodeStarted,
    OutputMade,
    Prompted,
    Replied,
    ReplyDelta,
    RunEnded,
    RunStarted,
    Usage,
)
from ..record.shelf import Shelf
from ..rlm.memory import Numbers


class Prelude:
    """Reads the events of everything that runs in one kernel, and keeps what happened in it.

    Only the root node lives in that kernel. What is told twice, as by a question that records its
    own prelude, is kept once.
    """

    def __init__(self) -> None:
        self.numbers = Numbers()
        self._events = Shelf()
        self._waiting: dict[int, list[CallEnded]] = {}  # calls of cells that still run
        self._cells: set[int] = set()
        self._contexts: set[tuple[float, str | None]] = set()

    @property
    def events(self) -> Shelf:
        """``ContextSet``, ``CallEnded`` and ``CellRan`` of the kernel so far, in their order.

        Cells are of turn 0. Calls come before their cell and cost nothing: they were paid for
        where they were made.
        """
        return self._events[:]

    def clear(self) -> None:
        """Forget all: the kernel is a new one, with no context."""
        self._events.clear()
        self._waiting.clear()

    def __call__(self, event: Event, folder: Path | None = None) -> None:
        """Take one event. ``folder`` is that of the run it belongs to: what the run keeps in its
        blobs is found from there by other runs."""
        if getattr(event, "node", None) != ROOT:
            return
        match event:
            case NodeStarted() | ContextSet():
                if event.context is not None:
                    self._given(event.context, event.time, folder)
            case CallEnded():
                self._called(placed_images(event, folder))
            case CellRan():
                self._ran(event)
            case KernelRestarted(back_to=None):
                self._restarted()
            case KernelRestarted():
                self._undone(event.back_to or 0)
            case (
                RunStarted() | RunEnded() | NodeEnded() | Prompted() | Replied() | ReplyDelta()
                | CellDecided() | CellProposed() | CellStarted() | OutputMade() | CallStarted()
            ):  # fmt: skip
                return
            case _:
                assert_never(event)

    def _called(self, call: CallEnded) -> None:
        if call.cell not in self._cells:
            free = replace(call, usage=Usage(), child=None)
            self._waiting.setdefault(call.cell, []).append(free)

    def _ran(self, cell: CellRan) -> None:
        if cell.cell in self._cells:
            return
        self._cells.add(cell.cell)
        for call in self._waiting.pop(cell.cell, []):
            self._events.append(call)
        self._events.append(replace(cell, turn=0))

    def _given(self, info: ContextInfo, time: float, folder: Path | None) -> None:
        known = time, info.spec.get("sha256")
        if known not in self._contexts:
            self._contexts.add(known)
            self._events.append(ContextSet(ROOT, placed(info, folder), time))

    def _undone(self, back_to: int) -> None:
        """Forget the cells after this one, their calls and the contexts that were given since."""
        stood = [
            place
            for place, event in enumerate(self._events)
            if isinstance(event, CellRan) and event.cell <= back_to
        ]
        self._events = self._events[: stood[-1] + 1 if stood else 0]

    def _restarted(self) -> None:
        """Forget all but the context: the new kernel has it, or the copy of the variable."""
        contexts = [event for event in self._events if isinstance(event, ContextSet)]
        self.clear()
        for last in contexts[-1:]:
            spec = {key: value for key, value in last.context.spec.items() if key != "variable"}
            if spec.get("sha256") is not None:
                self._events.append(replace(last, context=replace(last.context, spec=spec)))


def placed_images(call: CallEnded, folder: Path | None) -> CallEnded:
    """Return the call with the paths of its images in the run's blobs."""
    if folder is None or not call.images:
        return call
    blobs = folder / "blobs"
    return replace(
        call, images=[{**each, "path": str(blobs / each["sha256"])} for each in call.images]
    )


def placed(info: ContextInfo, folder: Path | None) -> ContextInfo:
    """Return the context with the path into the run's blobs, which its own record leaves out."""
    digest = info.spec.get("sha256")
    if folder is None or digest is None or "text" in info.spec:
        return info
    if info.spec.get("path") is not None:
        return info
    return replace(info, spec={**info.spec, "path": str(folder / "blobs" / digest)})
