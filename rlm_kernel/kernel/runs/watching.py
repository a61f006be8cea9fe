"""A run watched from its record, whoever writes it: ``%rlm watch``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...answers import answer_of
from ...errors import RecordError
from ...events import ROOT, CallEnded, CallStarted, Event, RunEnded, RunStarted
from ...record.files import JOURNAL
from ...record.journal import Follower, is_written
from ...record.markdown import one_line, shorten
from ...record.notebooks.answers import table_of
from ...reports.listing import DAMAGED, KILLED, Row
from ..display.card import answer_bundle, evidence_bundle, picture_bundle
from ..display.display import Display
from ..front_end import Execution

POLL_S = 0.5
SILENT_S = 1800.0
"""The longest that a run may record nothing before it is not watched any more."""
CALLED_OFF = "not watched any more; the run goes on"


@dataclass
class _Held:
    """Holds back what a display publishes until it has caught up with the record: of what was
    replaced meanwhile only the last is passed on."""

    send: Callable[[str, dict[str, Any]], None]
    held: list[tuple[str, dict[str, Any]]] | None = field(default_factory=list)

    def __call__(self, kind: str, content: dict[str, Any]) -> None:
        if self.held is None:
            self.send(kind, content)
        elif kind == "clear_output":
            self.held.clear()
        elif kind == "update_display_data":
            self.held = [*_without_updates(self.held), (kind, content)]
        else:
            self.held.append((kind, content))

    def release(self) -> None:
        held, self.held = self.held or [], None
        for kind, content in held:
            self.send(kind, content)


def _without_updates(
    messages: list[tuple[str, dict[str, Any]]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    return (message for message in messages if message[0] != "update_display_data")


class Watch:
    """One run shown in a cell, with ``link`` as ``Display`` takes it."""

    def __init__(self, row: Row, execution: Execution, link: Callable[[Path], str]) -> None:
        self._folder = row.path
        self._execution = execution
        self._link = link
        self._follower = Follower(row.path / JOURNAL)
        self._display: Display | None = None
        self._held = _Held(execution.send)
        self._calls: set[tuple[str, int]] = set()
        self._ended: RunEnded | None = None

    async def show(self) -> None:
        """Show the run until it ends, or nobody writes it any more. Raises ``RecordError``."""
        status = CALLED_OFF
        try:
            status = await self._followed()
        finally:
            if self._display is not None:
                self._tell_end(self._display, status)
        if self._display is None:
            raise RecordError(f"{self._folder}: {self._follower.problem or 'nothing is recorded'}")

    async def _followed(self) -> str:
        """Feed the display, and return what became of a run that has no end of its own."""
        record, last_news = self._folder / JOURNAL, time.monotonic()
        while True:
            alive = await asyncio.to_thread(is_written, record)
            if await self._take_in():
                last_news = time.monotonic()
                continue
            if self._follower.over:
                return DAMAGED if self._ended is None else self._ended.status
            self._held.release()
            if alive is False:  # and was so before the last look at its record
                return KILLED
            if time.monotonic() - last_news > SILENT_S:
                return f"not watched any more; it recorded nothing for {SILENT_S / 60:.0f} minutes"
            await asyncio.sleep(POLL_S)

    async def _take_in(self) -> bool:
        """Show the events that came; return whether any did."""
        events = [] if self._follower.over else await asyncio.to_thread(self._follower.read)
        for event in events:
            if isinstance(event, RunStarted):
                self._begin(event)
            if isinstance(event, RunEnded):
                self._ended = event
            if self._display is not None:
                for each in self._with_start(event):
                    self._display(each)
        return bool(events)

    def _begin(self, started: RunStarted) -> None:
        self._display = Display(
            self._held,
            now=time.time,
            began=started.time,
            link=lambda page: self._link(self._folder / page),
            again=self._show_again,
        )
        self._execution.tell(f"{self._folder.name}: {shorten(one_line(started.question), 200)}")

    def _show_again(self) -> None:
        if self._held.held is None:  # else nothing was cleared
            self._execution.show_again()

    def _with_start(self, event: Event) -> Iterator[Event]:
        """Yield the event; before the first answer of a call, which alone is recorded, its
        start."""
        if isinstance(event, CallEnded) and (event.node, event.call) not in self._calls:
            self._calls.add((event.node, event.call))
            if event.node == ROOT:
                yield CallStarted(event.node, event.cell, event.op, event.count)
        yield event

    def _tell_end(self, display: Display, status: str) -> None:
        display.conclude()
        self._held.release()
        ended = self._ended
        if ended is not None and (answer := answer_of(ended)) is not None:
            file = None if answer.file is None else self._folder / answer.file
            shown = answer_bundle(
                answer.text, "" if file is None else self._link(file), table_of(answer)
            )
            if file is not None and file.suffix != ".csv" and file.is_file():
                shown |= picture_bundle(file.suffix, file.read_bytes())
            self._execution.send("display_data", {"data": shown, "metadata": {}})
            if answer.evidence:
                self._execution.show(evidence_bundle(answer.evidence))
            if not ended.confirmed:
                self._execution.tell(f"The answer is unconfirmed: {ended.reason}", "stderr")
        display.close(status)
        if (problem := self._follower.problem) is not None:
            self._execution.tell(f"Its record is damaged: {problem}", "stderr")
        if status == KILLED:
            self._execution.tell(
                f"Nobody writes its record any more. `rlm resume {self._folder}` goes on with it."
            )
