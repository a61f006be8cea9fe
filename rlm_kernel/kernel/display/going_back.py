"""Cells that a kernel can go back to, and what came of going back, as a notebook shows them."""

from __future__ import annotations

from collections.abc import Sequence

from ...events import CellRan, Event, KernelRestarted
from ...record.markdown import isolated, one_line, shorten
from ...record.numbers import counted
from ...repl.snapshots import Snapshots
from .bundles import Shown, joined, table, text

MOST = 100
"""Cells that are listed, the newest ones."""
REMAINS = "What later cells did outside of the kernel, to files and by tools, remains."


def cells_to_go_back_to(events: Sequence[Event], snapshots: Snapshots) -> Shown:
    """Return the cells that the kernel stands on, each with how it would be gone back to."""
    ran = [event for event in events if isinstance(event, CellRan)]
    if not ran:
        return text("No cell has run in this kernel yet.")
    rows: list[Sequence[str]] = [
        [
            str(cell.cell),
            "" if cell.execution_count is None else f"[{cell.execution_count}]",
            "you" if cell.author == "human" else "the LM",
            isolated(shorten(one_line(cell.source), 60)),
            "by replay" if snapshots.at(cell.cell) is None else "at once, by its snapshot",
        ]
        for cell in ran[-MOST:]
    ]
    return table(["cell", "prompt", "by", "code", "back to after it"], rows)


def went_back(event: KernelRestarted, why: str) -> Shown:
    """Return that the kernel has gone back, by which way, and what is gone."""
    how = "its snapshot" if not why else f"replay ({why})"
    lost = ", ".join(event.lost) or "none"
    said = f"The kernel is as it was after cell {event.back_to}, by {how}. Variables that are gone:"
    return text(f"{said} {lost}. {REMAINS}")


def snapshots_kept(snapshots: Snapshots) -> Shown:
    """Return the snapshots there are, with their memory, and why the last cell has none."""
    kept = snapshots.kept
    mib = sum(each.private for each in kept) / 2**20
    said = (
        f"snapshots: {snapshots.mode}; {counted(len(kept), 'snapshot')} of {snapshots.taken:,} "
        f"taken, with {mib:,.1f} MiB of their own; {snapshots.seconds:.2f} s were spent on them."
    )
    if snapshots.lost:
        said += f" The last cell has none: it would lose {', '.join(snapshots.lost)}."
    if not kept:
        return text(said)
    rows = [[str(each.cell), f"{each.private / 2**20:,.1f} MiB"] for each in kept]
    return joined([text(said), table(["cell", "memory of its own"], rows)])
