"""The baselines: the LM alone in its window, and peers in Pythons of their own.

Each answers a task of the batch in the place of a run of ours, and leaves ``baseline.json`` in the
run's folder; of a peer also the end of what it wrote.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..batch import Task, TaskResult, TaskRun
from ..batch.results import is_total
from ..errors import LimitReached, LMError, RecordError, RLMError
from ..events import RunEnded, Status, Usage
from ..lm.models import Models
from ..record import files
from ..remote.watchdog import below, kill
from ..settings.limits import Ledger
from .gateway import Address, gateway
from .grid import OURS, as_text
from .pythons import environment, last_of, program, python_of

RECORD = "baseline.json"
SAID = "said.txt"
ROOM_TOKENS = 1024
"""Left in the window for the question, the reply and what surrounds them."""
CHARS_A_TOKEN = 3.5
SMALLER = 0.7
TRIES = 8
CUT = "\n[... {} characters are left out here ...]\n"
PROMPT = "{context}\n\nAnswer this question about the text above. Give only the answer.\n{question}"
KEPT_BYTES = 1 << 20
END_SECONDS = 5.0

Context = str | dict[str, str]


class PeerFailed(RLMError):
    """A peer ended without an answer; the text is the end of what it wrote."""


class BaselineRun(TaskRun):
    """A task answered by the system that it names."""

    async def answer(self, again: bool) -> bool:
        """Answer it, and set ``ended``; what was answered before stays, unless ``again``."""
        self.ended = None if again else await self.load(_ended_before, self.path)
        if self.ended is not None:
            return False
        system = self.task.fields["system"]
        limits, began = self.settings().limits, time.monotonic()
        ledger = Ledger(limits, self.session.budget)
        await self.load(files.make_folder, self.path)
        status: Status = "answered"
        reason = given = None
        try:
            context = await self.load(_context, self.task.context_path, self.task.context)
            async with self.session.models() as models, asyncio.timeout(limits.seconds):
                given = await SYSTEMS[system](self, models, ledger, context)
        except TimeoutError:
            status, reason = "limit", str(ledger.trip_time())
        except (LMError, LimitReached, PeerFailed) as error:
            status, reason = "failed", str(error)
        if given is None and ledger.tripped is not None:
            status, reason = "limit", str(ledger.tripped)
        self.ended = RunEnded(
            status=status,
            answer=given,
            confirmed=given is not None,
            reason=reason,
            usage=ledger.usage,
            turns=ledger.turns,
            calls=ledger.calls,
            seconds=time.monotonic() - began,
            time=time.time(),
        )
        await self.load(_write, self.path, system, self.task.question, self.ended)
        return False

    def look_up(self, result: TaskResult, ended: RunEnded) -> TaskResult:
        """Return the result: all of it is known already, and there is no trajectory."""
        return dataclasses.replace(result, attempts=1)


def open_run(*given: Any) -> TaskRun:
    """Return what answers a task: a run of ours, or a baseline where the task names one."""
    task = given[0]
    return (TaskRun if task.fields.get("system", OURS) == OURS else BaselineRun)(*given)


def _context(path: Path | None, value: Any) -> Context:
    """Return what a task is about as a text, of a folder the texts by path. Blocks."""
    if path is None:
        return value if isinstance(value, str) else json.dumps(value)
    if not path.is_dir():
        return path.read_text(encoding="utf-8", errors="backslashreplace")
    found = sorted(each for each in path.rglob("*") if each.is_file())
    read = (each.read_text(encoding="utf-8", errors="backslashreplace") for each in found)
    return {each.relative_to(path).as_posix(): text for each, text in zip(found, read, strict=True)}


def size_of(task: Task) -> int:
    """Return the characters of a task's context, of files their bytes. Blocks."""
    path = task.context_path
    if path is None:
        return len(as_text(_context(None, task.context)))
    files_of = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(each.stat().st_size for each in files_of)


def _write(folder: Path, system: str, question: str, ended: RunEnded) -> None:
    told = {"system": system, "question": question, **dataclasses.asdict(ended)}
    files.write(folder / RECORD, json.dumps(told, indent=1).encode())


def _ended_before(folder: Path) -> RunEnded | None:
    """Return the end that stands in the folder, if one does: its result was not yet written."""
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        usage = Usage(**told.pop("usage"))
        fields = {field.name: told[field.name] for field in dataclasses.fields(RunEnded)
                  if field.name in told}  # fmt: skip
        ended = RunEnded(usage=usage, **fields)
    except (ValueError, TypeError, KeyError) as error:
        raise RecordError(f"{path}: this is not the record of a baseline: {error}") from error
    final = ended.status in ("answered", "limit") and not is_total(ended.status, ended.reason)
    return ended if final else None


# the LM alone
async def _window(run: TaskRun, models: Models, ledger: Ledger, context: Context) -> str:
    """Ask the author once, with as much of the context as fits its window: its two ends."""
    model, text = models.root, as_text(context)
    room = max(model.window - (model.sampling.max_tokens or 0) - ROOM_TOKENS, 256)
    most = round(room * CHARS_A_TOKEN)
    for attempt in range(TRIES):
        prompt = PROMPT.format(context=shortened(text, most), question=run.task.question)
        ledger.turns = 1
        try:
            reply = await model.client.complete(
                model.name, [{"role": "user", "content": prompt}], ledger, sampling=model.sampling
            )
        except LMError as error:
            if error.cause != "window" or attempt + 1 == TRIES:
                raise
            most = round(min(most, len(text)) * SMALLER)  # it has more tokens than was guessed
        else:
            return reply.spoken().text.strip()
    raise AssertionError("the last try returns or raises")


def shortened(text: str, most: int) -> str:
    """Return a text that has ``most`` characters at most beside a line which says what is cut."""
    if len(text) <= most:
        return text
    head = most // 2
    return text[:head] + CUT.format(f"{len(text) - most:,}") + text[len(text) - (most - head) :]


# peers
async def _rlms(run: TaskRun, models: Models, ledger: Ledger, context: Context) -> str:
    return await _peer("rlms", run, models, ledger, context)


async def _dspy(run: TaskRun, models: Models, ledger: Ledger, context: Context) -> str:
    return await _peer("dspy", run, models, ledger, context)


async def _peer(name: str, run: TaskRun, models: Models, ledger: Ledger, context: Context) -> str:
    python = await run.load(python_of, name)
    async with gateway(models, ledger) as address:
        asked = _asked(run, address, context)
        said, log, status = await _ran(python, f"{name}_peer", asked, run.path)
    await run.load(files.write, run.path / SAID, log)
    try:
        return str(json.loads(said.splitlines()[-1])["answer"])
    except (IndexError, ValueError, KeyError, TypeError):
        told = last_of(log.decode("utf-8", "replace"))
        raise PeerFailed(f"{name} ended with status {status}: {told}") from None


def _asked(run: TaskRun, address: Address, context: Context) -> bytes:
    turns = run.settings().limits.turns
    told = {**dataclasses.asdict(address), "question": run.task.question, "context": context}
    return json.dumps({**told, "turns": turns}).encode()


async def _ran(python: Path, name: str, given: bytes, folder: Path) -> tuple[bytes, bytes, int]:
    """Run a program; return the ends of what it wrote to standard output and error, and its exit
    status. All that it started ends with it, in whatever session that is."""
    process = await asyncio.create_subprocess_exec(
        str(python), "-P", program(name), cwd=folder, env=environment(), process_group=0,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said, log, _ = await asyncio.gather(
            _end_of(process.stdout), _end_of(process.stderr), _fed(process.stdin, given)
        )
        return said, log, await process.wait()
    finally:
        for pid in [*below({process.pid}), process.pid]:
            kill(pid)
        with suppress(ProcessLookupError):  # what outlived its parent
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(asyncio.wait_for(process.wait(), END_SECONDS))


async def _fed(stdin: asyncio.StreamWriter, given: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # what it says as it ends tells more
        stdin.write(given)
        await stdin.drain()
    stdin.close()


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """Read all that comes; return the last of it."""
    kept = b""
    while piece := await stream.read(1 << 16):
        kept = (kept + piece)[-KEPT_BYTES:]
    return kept


System = Callable[[TaskRun, Models, Ledger, Context], Awaitable[str]]
SYSTEMS: dict[str, System] = {"window": _window, "rlms": _rlms, "dspy": _dspy}
