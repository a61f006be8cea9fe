"""Answers callers: questions about files, under the user's limits over all of them."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..answers import Evidence
from ..errors import UsageError
from ..inputs.contexts import Source, from_path, from_value
from ..inputs.forms import Form, form_of_option
from ..record import evidence as told
from ..record import trajectory
from ..record.markdown import shorten
from ..record.recording import Recording
from ..remote.guest.forms.type_expressions import UnknownName
from ..replay import continuation
from ..replay.replay import replay
from ..reports import listing, provenance_of
from ..session.session import Result, Session
from ..settings.limits import Limits
from ..settings.resolved import Resolved, in_force
from .outline import outline
from .progress import Progress, Report
from .roots import Roots

ANSWER_CHARS = 20_000
"""A longer answer is cut; the whole of it is in the run's folder."""
QUESTION_CHARS = 20_000
TEXT_CHARS = 1_000_000
MOST_RUNS = 100
_NAME = re.compile(r"\w[\w.-]{0,199}\Z")


@dataclass(frozen=True)
class Asked:
    """Limits that a caller wants; they hold where they are lower than the user's."""

    turns: int | None = None
    calls: int | None = None
    tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def within(self, limits: Limits) -> Limits:
        """Return the user's limits, lowered to these."""
        lower = {
            name: wanted if (most := getattr(limits, name)) is None else min(wanted, most)
            for name, wanted in dataclasses.asdict(self).items()
            if wanted is not None
        }
        return dataclasses.replace(limits, **lower)


class Service:
    """Answers callers. ``folder`` is where runs are recorded, so many ``at_once`` are live."""

    def __init__(self, session: Session, roots: Roots, folder: Path, *, at_once: int = 2) -> None:
        self._session = session
        self._roots = roots
        self._folder = folder
        self._turn = asyncio.Semaphore(at_once)

    async def close(self) -> None:
        """Close what the session keeps open."""
        await self._session.close()

    async def ask(
        self,
        question: str,
        path: str | None,
        text: str | None,
        form: str | None,
        asked: Asked,
        report: Report,
        *,
        first: str | None = None,
    ) -> dict[str, Any]:
        """Answer a question about a file, a folder or a text. ``first`` is a cell that runs before
        the LM writes any. Raises ``RLMError``."""
        if not question.strip() or len(question) > QUESTION_CHARS:
            raise UsageError(f"a question has 1 to {QUESTION_CHARS:,} characters")
        force = self._force(asked)
        wanted = None if form is None else _form(form)
        source = await asyncio.to_thread(self._source, path, text, force)
        async with Progress(report, force.limits) as progress, self._turn:
            result = await self._session.ask(
                source, question, [progress], force=force, form=wanted, first=first
            )
        return told_of(result)

    async def go_on(self, run: str, word: str, asked: Asked, report: Report) -> dict[str, Any]:
        """Go on from the end of a run, in a new one, with a word to the LM. Raises ``RLMError``."""
        path = self._run(run)
        found = await asyncio.to_thread(continuation.fork, path, None, edit=None, note=word)
        force = dataclasses.replace(
            in_force(layers=[found.spoken], config=[found.place]), limits=self._force(asked).limits
        )
        async with Progress(report, force.limits) as progress, self._turn:
            return told_of(await self._session.go_on(found, [progress], force=force))

    async def replay(self, run: str) -> dict[str, Any]:
        """Run the recorded cells of a run again, with no LM, and compare. Raises ``RLMError``."""
        recorded = await asyncio.to_thread(trajectory.load, self._run(run))
        async with self._turn:
            verdict = await replay(recorded, lambda line: None)
        return {
            "run": run,
            "verdict": verdict.result,
            "cells": verdict.cells,
            "differences": [shorten(one, 300) for one in verdict.differences[:20]],
        }

    async def runs(self) -> list[dict[str, Any]]:
        """Return the runs that were recorded here, the newest first, at most ``MOST_RUNS``."""
        return await asyncio.to_thread(lambda: [_row(listing.read(p)) for p in self._newest()])

    def _newest(self) -> list[Path]:
        found = self._folder.iterdir() if self._folder.is_dir() else ()
        runs = [path for path in found if self._is_run(path)]
        return sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True)[:MOST_RUNS]

    async def why(self, run: str) -> dict[str, Any]:
        """Return what a run's answer rests on. Raises ``UsageError`` and ``RecordError``."""
        recording = await self._recording(run)
        found = await asyncio.to_thread(provenance_of.find, recording)
        given = recording.root.given
        return {
            "answer": shorten(recording.root.answer or "", 2000),
            "confirmed": recording.root.confirmed,
            "evidence": _lines(given.evidence if given else ()),
            "cells": [step.cell for step in found.nodes[0].steps] if found.nodes else [],
            "calls": found.calls,
            "read": None if found.covered is None else f"{found.covered.share:.0%} of the input",
        }

    async def _recording(self, run: str) -> Recording:
        return await asyncio.to_thread(Recording.open, self._run(run))

    async def outline(self, run: str, *, outputs: bool) -> str:
        """Return a run as Markdown: its question, answer and cells, with what the cells put out
        where ``outputs`` are wanted."""
        return outline(await self._recording(run), outputs=outputs)

    def _force(self, asked: Asked) -> Resolved:
        force = self._session.force
        return dataclasses.replace(force, limits=asked.within(force.limits))

    def _source(self, path: str | None, text: str | None, force: Resolved) -> Source:
        if (path is None) == (text is None):
            raise UsageError("give a path or a text")
        if text is not None:
            if len(text) > TEXT_CHARS:
                raise UsageError(f"a text has at most {TEXT_CHARS:,} characters: give a path")
            return from_value(text)
        return from_path(str(self._roots.path(str(path))), exclude=force.settings.exclude)

    def _run(self, name: str) -> Path:
        path = self._folder / name
        if not self._is_run(path):
            raise UsageError(f"there is no run {name!r}: `runs` lists them")
        return path

    def _is_run(self, path: Path) -> bool:
        """Return whether it is a run in the folder; a caller may have named it."""
        named = _NAME.match(path.name) and path.parent == self._folder
        return bool(named) and not path.is_symlink() and path.is_dir() and listing.is_run(path)


def told_of(result: Result) -> dict[str, Any]:
    """Return what a caller is told of a run that has ended."""
    answer = result.response
    cut = answer is not None and len(answer) > ANSWER_CHARS
    report: dict[str, Any] = {
        "status": result.status,
        "answer": answer[:ANSWER_CHARS] if answer is not None and cut else answer,
        "confirmed": result.confirmed,
        "reason": result.reason,
        "evidence": _lines(result.evidence),
        "tokens": result.usage.tokens,
        "cost": result.cost,
        "run": result.trajectory.parent.name,
        "trajectory": f"rlm-run://{result.trajectory.parent.name}",
    }
    if cut:
        report["cut"] = f"{len(answer or ''):,} characters; the whole is in {result.trajectory}"
    return report


def _lines(evidence: tuple[Evidence, ...]) -> list[str]:
    return [shorten(line, 300) for line in told.lines(evidence)]


def _form(text: str) -> Form:
    try:
        return form_of_option(text)
    except UnknownName as error:
        raise UsageError(f"answer={text!r}: {error}") from None


def _row(row: listing.Row) -> dict[str, Any]:
    return {
        "run": row.path.name,
        "question": shorten(row.question or "", 200),
        "status": row.status,
        "answer": None if row.answer is None else shorten(row.answer, 200),
        "confirmed": row.confirmed,
        "turns": row.turns,
        "tokens": row.tokens,
        "seconds": row.seconds,
    }
