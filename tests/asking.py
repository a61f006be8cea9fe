"""Questions to a scripted LM, and what their records say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rlm_kernel import RLM, Limits, Result
from rlm_kernel.events import CallEnded, CellRan, Event
from rlm_kernel.inputs.contexts import from_value
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record import journal
from rlm_kernel.record.recording import Recording
from rlm_kernel.repl.running_cell import Ran
from rlm_kernel.session.event_loop import engine
from rlm_kernel.session.session import Session
from rlm_kernel.settings.resolved import Resolved, in_force
from rlm_kernel.testing import FakeRepl, ScriptedLM

E = TypeVar("E")
Sub = Callable[[str], "str | Exception"]


def block(*sources: str) -> str:
    """A reply of one block a source."""
    return "\n".join(f"```python\n{source}\n```" for source in sources)


def script(*turns: str | Exception, sub: Sub = lambda prompt: f"<{prompt}>") -> ScriptedLM:
    """An LM whose turns are these; a turn without a fence is the source of one cell."""
    return ScriptedLM(
        [t if isinstance(t, Exception) or "```" in t else block(t) for t in turns], sub
    )


def ask(
    lm: ScriptedLM,
    out: Path,
    context: object = "some text",
    question: str = "What is it?",
    **settings: Any,
) -> Result:
    """One question, its run in the folder ``out``."""
    with RLM(model=lm, out=out, **settings) as rlm:
        return rlm.completion(context, question)


def ask_within(lm: ScriptedLM, out: Path, limits: Limits, context: object = "some text") -> Result:
    """``ask`` in a kernel that is there already: a short limit of time is not used up by a start,
    which takes long where the machine is busy."""

    async def asked() -> Result:
        cwd = out.with_name(f"{out.name}-cells")
        cwd.mkdir()
        session = Session(in_force({}), Tools(), root=lm, persistent=True, cwd=cwd)
        try:
            await session.repl()
            force = in_force({"out": out}, limits=limits)
            return await session.ask(from_value(context), "What is it?", force=force)
        finally:
            await session.close()

    return engine().run(asked())


def ask_here(
    lm: ScriptedLM | None,
    out: Path,
    context: object = "some text",
    question: str = "What is it?",
    *,
    ends: Mapping[str, Ran] | None = None,
    limits: Limits | None = None,
    **settings: Any,
) -> Result:
    """``ask`` with cells that run in this process: for the rules of the loop, not of a kernel.

    Cells of a source in ``ends`` do not run, and end so.
    """
    return engine().run(
        _asked_here(lm, context, question, ends, in_force({"out": out, **settings}, limits=limits))
    )


async def _asked_here(
    lm: ScriptedLM | None,
    context: object,
    question: str,
    ends: Mapping[str, Ran] | None,
    force: Resolved,
) -> Result:
    session = Session(force, Tools(), root=lm, open_runner=FakeRepl.opener(ends))
    try:
        return await session.ask(from_value(context), question)
    finally:
        await session.close()


def events(result: Result) -> list[Event]:
    return journal.read(result.trajectory.parent / "journal.jsonl").events


def of(kind: type[E], all_events: Iterable[Event]) -> list[E]:
    return [event for event in all_events if isinstance(event, kind)]


def cells(result: Result, node: str = "0") -> list[CellRan]:
    return [event for event in of(CellRan, events(result)) if event.node == node]


def calls(result: Result) -> list[CallEnded]:
    return of(CallEnded, events(result))


def told(lm: ScriptedLM, turn: int) -> str:
    """The last message before a turn, counted from 1."""
    return str(lm.asked[turn - 1][-1]["content"])


def check_whole(result: Result) -> None:
    """The record is sealed and every notebook of the run is valid."""
    loaded = Recording.open(result.trajectory.parent)
    assert loaded.sealed, loaded.problems
    assert list(loaded.problems) == []


def by_question(replies: dict[str, str]) -> ScriptedLM:
    """An LM whose only turn depends on the question it finds in its messages."""

    def turn(messages: list[dict[str, Any]]) -> str:
        asked = messages[1]["content"]
        return block(next(reply for words, reply in replies.items() if f": {words}" in asked))

    return ScriptedLM(turn, lambda prompt: f"<{prompt}>")
