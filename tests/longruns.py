"""Made-up runs of any size, and their records as the recorder writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from stories import call, cell, prompted, replied, run_started, started

from rlm_kernel.events import CallEnded, Event, NodeEnded, Replied, RunEnded, Usage
from rlm_kernel.record.journal import Journal
from rlm_kernel.record.recorder import Recorder

LAST = "The very last of all sub-calls asks about aardvarks."
_WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove"),
    *("heath", "inlet", "jetty", "kiosk", "larch", "maple"),
)


def _text(seed: int, size: int) -> str:
    """Words that differ from call to call, ``size`` of them."""
    return " ".join(_WORDS[(seed * 7 + n * n * (seed % 11 + 1)) % 13] for n in range(size))


def long_run(turns: int = 1000, each: int = 10) -> Iterator[Event]:
    """``turns`` turns of a second, each with a cell that makes ``each`` calls at once."""
    told = list(_told(turns, each))
    used = sum((event.usage for event in told if isinstance(event, Replied | CallEnded)), Usage())
    yield from [run_started(), *told]
    end, calls = 11.0 + turns, turns * each
    yield NodeEnded("0", "answered", "[1]", True, None, end)
    yield RunEnded("answered", "[1]", True, None, used, turns, calls, end, end)


def _told(turns: int, each: int) -> Iterator[Event]:
    yield started("0")
    for turn in range(1, turns + 1):
        now = 10.0 + turn
        source = f"part_{turn} = llm_query_batched(prompts[{turn}])\nfound.append(part_{turn})"
        yield prompted("0", turn, f"Output:\nturn {turn - 1}")
        text = f"I ask about part **{turn}**.\n\n```python\n{source}\n```"
        yield replied("0", turn, text, seconds=0.4, usage=Usage(1, 900, 60, 0, 0.001))
        for index in range(each):
            last = (turn, index) == (turns, each - 1)
            number = turn * each + index
            yield call(
                "0", index, count=each, cell=turn, call=turn, started=now + 0.02 * index,
                seconds=0.3 + 0.03 * (number % 9), reply=f"{_WORDS[number % 13]} {number}",
                prompt=LAST if last else f"Question {number}: {_text(number, 60)}",
            )  # fmt: skip
        shown = {"output_type": "stream", "name": "stdout", "text": f"{_text(turn, 40)}\n"}
        yield cell(
            "0", turn, turn=turn, source=source, outputs=[shown], seconds=0.6, time=now + 0.6
        )
    final = "FINAL_VAR(found)"
    yield cell("0", turns + 1, turn=turns, source=final, answer="[1]", time=11.0 + turns)


def record(events: Iterable[Event], folder: Path) -> Path:
    """The run's folder, written by the recorder. Blocks."""

    async def write() -> None:
        recorder = Recorder(folder, interval_s=3600.0)
        for event in events:
            recorder(event)
        await recorder.close()

    asyncio.run(write())
    return folder


def journal_of(events: Iterable[Event], folder: Path) -> Path:
    """The run's folder with its record alone, whose nodes may have any names."""
    journal = Journal.create(folder / "journal.jsonl")
    for event in events:
        journal.write(event)
    journal.seal()
    return folder
