"""Runs that were asked a question before, and answers from the record for a notebook.

A notebook that is run as a whole has the cells of its questions below them, where a page wrote them
there. Such a question is answered from its record where nothing else is said: else it would be
asked and paid for anew, and the cells below it would run on the variables of another run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import RecordError, UsageError
from ..events import ROOT, CellRan
from ..inputs.contexts import Source
from ..record import journal
from ..record.files import JOURNAL
from ..record.recording import Recording
from ..repl.repl import Repl
from . import answer_cache
from .answer_cache import AskedBefore, CachedAnswer, opened_by, runs_in

LIVE_CELLS = "live_cells"
"""The setting in the record of a run whose cells were written into the human's notebook."""
BY_CELLS = "off, but for questions whose cells are in the notebook"
"""The mode of replay where nothing else is said."""
MOST = 5
"""Runs of one question whose cells are known again, the newest."""


@dataclass
class Looked:
    """The run that answers, if one does; and, if none does, the sources that an LM wrote when the
    question was asked before."""

    found: CachedAnswer
    written: set[str] = field(default_factory=set)


async def look(
    mode: str, wanted: AskedBefore, about: Source | str, folders: Sequence[Path], repl: Repl
) -> Looked:
    """Look for the recorded run that answers. The digest of the context is found here. Raises
    ``UsageError`` if none answers and the LM may not be asked."""
    asked = await asyncio.to_thread(_asked_before, wanted.question, folders)
    live = [folder for folder, cells in asked.items() if cells]
    found = CachedAnswer(None, "")
    if mode != "off" and (mode != BY_CELLS or live):
        wanted = AskedBefore(
            question=wanted.question,
            context=await answer_cache.digest_of(about, repl),
            asked=wanted.asked,
            before=wanted.before,
        )
        among = live if mode == BY_CELLS else folders
        found = await asyncio.to_thread(answer_cache.find, wanted, among)
    if found.recording is not None:
        return Looked(found)
    if mode == "only":
        raise UsageError(found.sentence.strip())
    return Looked(found, await asyncio.to_thread(_written_in, live[:MOST]))


def _asked_before(question: str, folders: Iterable[Path]) -> dict[Path, bool]:
    """Return the folders of the runs that were asked a question, newest first, and of each whether
    its cells were written into a notebook. Blocks."""
    found = {}
    for folder in runs_in(folders):
        try:
            started, _ = opened_by(journal.beginning(folder / JOURNAL, 3))
        except RecordError:
            continue
        if started is not None and started.question == question:
            found[folder] = started.settings.get(LIVE_CELLS) is True
    return found


def _written_in(folders: Iterable[Path]) -> set[str]:
    """Return the sources of the cells that the root's LM wrote in these runs. Blocks."""
    sources: set[str] = set()
    for folder in folders:
        try:
            events = Recording.open(folder / JOURNAL).events
        except RecordError:
            continue
        sources |= {
            event.source
            for event in events
            if isinstance(event, CellRan) and event.node == ROOT and event.turn
        }
    return sources
