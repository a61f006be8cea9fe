"""A recorded run made ready for replay, with what was changed in its notebooks since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import RecordError
from .equality import node_seed
from .format_version import NewerRecord
from .nodes import RecordedCell, RecordedNode, nodes_of
from .notebooks import pages
from .notebooks.metadata import page as page_of
from .notebooks.node import changes, node_of, unpacked
from .notebooks.pages import Page
from .notebooks.sources import same
from .recording import Recording
from .versions import versions


@dataclass
class RecordedRun:
    """A run to be replayed. ``problems`` says where its files were changed after they were
    written. ``notes`` says what was changed in notebooks and takes nothing from a replay: they are
    a view, which formatters lay out anew, other tools strip, and Run All writes with other outputs.
    """

    folder: Path
    settings: dict[str, Any]
    nodes: dict[str, RecordedNode]
    problems: list[str]
    notes: list[str] = field(default_factory=list)

    def seed(self, node: str) -> int | None:
        """Return what the node's cells drew from after its context was given; None in records of
        the first version."""
        seed = self.settings.get("seed")
        return node_seed(seed, node) if isinstance(seed, int) else None


def load(path: Path) -> RecordedRun:
    """Open a run and make it ready. Raises as ``Recording.open`` and ``replayable`` do. Blocks."""
    return replayable(Recording.open(path))


def replayable(recording: Recording) -> RecordedRun:
    """Return the nodes of a recording, compared with the notebooks beside it. Blocks.

    Raises ``RecordError`` where one of its events is not what it should be, or a text is missing.
    """
    if recording.alone and recording.page is not None:
        return alone(recording.page)
    recording.check_fit()
    started = recording.started
    recorded = RecordedRun(
        folder=recording.source.parent,
        settings=started.settings if started is not None else {},
        nodes=nodes_of(recording.events),
        problems=recording.problems,
        notes=_other_versions(started.versions if started is not None else {}),
    )
    if not recording.sealed and not recording.faults:
        recorded.problems.append("the record was not finished: the run goes on or was killed")
    _look_at_notebooks(recorded, recording.page)
    return recorded


def alone(page: Page) -> RecordedRun:
    """Return the one node of a notebook, whatever lies beside it. Raises ``RecordError``."""
    about = unpacked(page)
    node = node_of(page, about)
    problems, notes = changes(node, about)
    notes += _other_versions(about["versions"])
    return RecordedRun(
        folder=page.folder,
        settings=about["settings"],
        nodes={node.node: node},
        problems=problems,
        notes=notes,
    )


def _other_versions(was: dict[str, str]) -> list[str]:
    """Say what the run was made with and is not here: outputs may differ by it."""
    now = versions()
    differing = [
        f"{name} {version}, here {now.get(name, 'none')}"
        for name, version in was.items()
        if version != now.get(name)
    ]
    return [f"it was recorded with {'; '.join(differing)}"] if differing else []


def _look_at_notebooks(recorded: RecordedRun, opened: Page | None) -> None:
    """Tell where a notebook beside the record says something else than the record.

    Other code, replies or answers are a problem. Other outputs are not one yet: Run All writes
    its own over them. A replay looks whether it can explain them (``RecordedCell.shown``).
    """
    for node in recorded.nodes.values():
        path = recorded.folder / page_of(node.node, root=node.parent is None)
        if not path.exists():
            recorded.notes.append(f"{path.name} is not beside the record")
            continue
        try:
            known = opened if opened is not None and opened.path == path else None
            seen = alone(known or pages.load(path))
            their = seen.nodes[node.node]
        except NewerRecord as error:
            recorded.notes.append(f"{path.name} is not compared: {error}")
        except (RecordError, KeyError) as error:
            recorded.notes.append(f"{path.name} has lost what makes it a trajectory: {error}")
        else:
            if seen.settings.get("tool_modules") != recorded.settings.get("tool_modules"):
                problem = f"{path.name}: the source of the tools is not the one in the record"
                recorded.problems.append(problem)
            recorded.problems += [f"{path.name}: {text}" for text in _differences(node, their)]
            recorded.notes += [f"{path.name}: {text}" for text in _take_shown(node, their)]


def _differences(node: RecordedNode, seen: RecordedNode) -> Iterator[str]:
    for ours, theirs in zip(node.calls, seen.calls, strict=False):
        if ours.slot != theirs.slot:
            yield (
                f"the recorded reply to {ours.op} in cell {ours.cell}, prompt {ours.index + 1} of "
                f"{ours.count}, is not the one in the record"
            )
    there = {cell.cell: cell for cell in seen.cells}
    for mine in node.cells:
        if mine.cell not in there:
            yield f"cell {mine.cell} of the record is not in it any more"
        elif not same(mine.source, there[mine.cell].source):
            yield f"cell {mine.cell}: its source is not the one in the record"
        elif mine.outputs is not None and not there[mine.cell].put_out(mine.outputs):
            yield f"cell {mine.cell}: the digest of its outputs is not the one in the record"
    if node.answer != seen.answer:
        yield "the answer is not the one in the record"


def _take_shown(node: RecordedNode, seen: RecordedNode) -> Iterator[str]:
    """Keep with each recorded cell the outputs that its notebook has where they are others."""
    there = {cell.cell: cell for cell in seen.cells}
    for place, mine in enumerate(node.happened):
        shown = there.get(mine.cell) if isinstance(mine, RecordedCell) else None
        if not isinstance(mine, RecordedCell) or shown is None:
            continue
        if shown.source != mine.source and same(shown.source, mine.source):
            yield f"cell {mine.cell}: its code is laid out anew"
        if shown.shown is not None:
            node.happened[place] = replace(mine, shown=shown.shown)
            yield f"cell {mine.cell}: its outputs are not those of the record"
        elif shown.outputs is None:
            yield f"cell {mine.cell}: its outputs were taken out of it"
