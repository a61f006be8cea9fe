"""Kernels that were replaced in a run, in words, and what of the run that undid."""

from __future__ import annotations

from collections.abc import Iterable

from ..events import CellRan, Event, KernelRestarted

UNDONE = "Undone: the kernel went back to where it was after cell {cell}."


def sentence(event: KernelRestarted, anew: str = "The kernel was restarted") -> str:
    """Return what was put in the place of a kernel, and why; ``anew`` says that it is a new one."""
    if event.back_to is None:
        return f"{anew}: {event.reason}"
    where = f"as after cell {event.back_to}" if event.back_to else "as before the first cell"
    how = f" (by {event.by})" if event.by else ""
    return f"The kernel stands {where}{how}: {event.reason}"


class Standing:
    """Reads the events of a run, in their order, and says which cells do not stand any more."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._cells: dict[str, list[CellRan]] = {}
        self.undone: dict[tuple[str, int], KernelRestarted] = {}
        """By node and number the cells that the kernel went back from, with that event."""
        self.ended: dict[tuple[str, int], KernelRestarted] = {}
        """Those that ended their kernel, which was started again: nobody runs them again."""
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take the next event."""
        if isinstance(event, CellRan):
            self._cells.setdefault(event.node, []).append(event)
        elif isinstance(event, KernelRestarted) and event.back_to is not None:
            for cell in self._cells.get(event.node, ()):
                if cell.cell > event.back_to:
                    self.undone.setdefault((event.node, cell.cell), event)
        elif isinstance(event, KernelRestarted):
            for cell in self._cells.get(event.node, ())[-1:]:
                if cell.cell == event.cell and cell.status == "died":
                    self.ended[event.node, cell.cell] = event

    def notice(self, node: str, cell: int) -> list[str]:
        """Return the line that is shown with a cell that was undone; none with any other."""
        went = self.undone.get((node, cell))
        return [] if went is None else [UNDONE.format(cell=went.back_to)]

    def stands(self, node: str, cell: int) -> bool:
        """Return whether what a cell did is in its kernel, as far as the kernel goes."""
        return (node, cell) not in self.undone
