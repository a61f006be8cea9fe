"""The point at which a run leaves the record that it goes on from."""

from __future__ import annotations

from ..events import ROOT
from ..rlm.memory import Intervention
from .memory import ForkPoint, RunMemory, forget


def fork_at(
    earlier: RunMemory, cell: int, *, edit: str | None = None, note: str | None = None
) -> None:
    """Leave the record before the root's cell of this number, or after its last one; where it ran
    none, before its first turn.

    With ``edit`` that source runs in the cell's place. Raises ``KeyError`` where there is no such
    cell.
    """
    root = earlier.nodes[ROOT]
    own = root.own_cells
    after_all = cell == root.last_cell + 1 and edit is None
    turn = root.cells[cell].turn if not after_all else own[-1].turn if own else 0
    kept = len([each for each in own if each.turn == turn and each.cell < cell])
    if after_all:
        root.fork = ForkPoint(turn, Intervention(note=note))
    elif kept == 0 and edit is None:
        turn -= 1
        root.fork = ForkPoint(turn, Intervention(note=note))
    else:
        root.fork = ForkPoint(turn, Intervention(kept, edit, note))
    root.calls = {call: slots for call, slots in root.calls.items() if call[0] < cell}
    root.leaves_before = cell
    forget(root, after=turn)


def on_another_input(earlier: RunMemory, *, recall: bool = False) -> None:
    """Keep what the LM wrote, and nothing of what it was told; of what its calls gave what the
    prelude needs, or with ``recall`` all."""
    root = earlier.nodes[ROOT]
    root.prompts = {turn: said for turn, said in root.prompts.items() if turn == 0}
    earlier.nodes, earlier.asking = {ROOT: root}, False
    if not recall:
        first = root.first_cell
        root.calls = {call: slots for call, slots in root.calls.items() if call[0] < first}
        earlier.subtrees = {}
