"""One case: bad input, the run that gets it, and what was seen of that run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat

from rlm_kernel.events import CallEnded, CellRan, Event, Replied, RunEnded, RunStarted
from rlm_kernel.record import journal
from rlm_kernel.record.outputs import text_of
from rlm_kernel.testing import Exchange, FakeEndpoint
from rlm_kernel.testing.endpoint import Said

from . import leftovers

KEY = "sk-canary-5b1e7c0f9a"
"""Every run is given this key, and none may show it."""
WAIT_S = 90
END = "```python\nprint(len(context))\nFINAL_VAR(len(context))\n```"
OURS = re.compile(r'Traceback \(most recent call last\):\n\s+File "[^<]')
"""A traceback of our own process; that of a cell, in the progress, looks otherwise, and a program
that a cell started with -c begins in ``<string>``."""

To = Literal["human", "LM", "code"]
Sub = Said | Callable[[str], Said]


def cell(source: str) -> str:
    """A reply of one cell."""
    return f"```python\n{source}\n```"


@dataclass(frozen=True)
class Case:
    """One kind of bad input and what must come of it.

    ``turns`` are the LM's replies to the root, the last one again if it is asked for more; a list
    among them holds the answers to one turn's tries. ``context`` makes the input in a folder and
    gives its path. ``phrase`` is the key phrase of the message ``to`` whom it concerns, ``status``
    the exit status; ``run`` says whether a trajectory must be there.
    """

    name: str
    phrase: str
    to: To = "human"
    status: int = 0
    turns: tuple[Said | list[Said], ...] = (END,)
    sub: Sub = "fine"
    context: Callable[[Path], str] | None = None
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    run: bool = True
    quick: bool = True
    limit: bool = False


class Script:
    """The LM behind the endpoint."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._tries: Counter[int] = Counter()

    def __call__(self, request: dict[str, Any]) -> Said:
        messages = request["messages"]
        reply: Said
        if not request.get("stream"):
            sub = self._case.sub
            reply = sub(str(messages[-1]["content"])) if callable(sub) else sub
            return reply
        number = sum(message["role"] == "assistant" for message in messages)
        said: Any = self._case.turns[min(number, len(self._case.turns) - 1)]
        self._tries[number] += 1
        if isinstance(said, list):
            said = said[min(self._tries[number], len(said)) - 1]
        reply = said
        return reply


@dataclass(frozen=True)
class Seen:
    """What was seen of one run. ``folder`` is its run folder, which need not be there."""

    case: Case
    status: int | None
    stdout: str
    stderr: str
    log: list[Exchange]
    folder: Path
    left: list[str]
    seconds: float
    shows_key: list[str]
    trajectory: Trajectory

    @property
    def message(self) -> str:
        """The message as it was shown, or an empty text."""
        texts = {"human": self._to_human, "LM": self._to_lm, "code": self._to_code}
        return texts[self.case.to]()

    def _to_human(self) -> str:
        lines = self.stderr.splitlines()
        starts = (n for n, line in enumerate(lines) if re.match(r"rlm( run)?: ", line))
        said = lines[next(starts, len(lines)) :]
        return "\n".join(line for line in said if not line.startswith("trajectory: "))

    def _to_lm(self) -> str:
        chats = [e for e in self.log if e.stream]
        told = [m["content"] for m in chats[-1].messages if m["role"] == "user"] if chats else []
        parts = [part for text in told for part in text.split("\n\n")]
        return next((part for part in parts if self.case.phrase in part), "")

    def _to_code(self) -> str:
        cells = [event for event in self.trajectory.events if isinstance(event, CellRan)]
        lines = [line for ran in cells for line in text_of(ran.outputs, 20_000).splitlines()]
        return next((line for line in lines if self.case.phrase in line), "")

    @property
    def spent_after(self) -> int:
        """Requests that reached the endpoint after the run's limit did, but for that of the turn
        which is left to finish."""
        at = self.trajectory.limit_at
        late = [e for e in self.log if at is not None and e.started > at]
        return max(len(late) - 1, 0)

    def problems(self) -> list[str]:
        """What is wrong with it; nothing, one hopes."""
        case, found = self.case, []
        if self.status != case.status:
            found.append(f"exit status {self.status}, not {case.status}")
        if OURS.search(self.stderr):
            found.append("a traceback of ours")
        if case.phrase not in self.message:
            found.append(f"the message {self.message!r} does not say {case.phrase!r}")
        if case.run != self.trajectory.there:
            found.append("no trajectory" if case.run else "a trajectory of a run that never began")
        if case.limit and self.trajectory.limit_at is None:
            found.append("the record does not say when the limit was reached")
        if self.spent_after:
            found.append(f"{self.spent_after} requests after the limit")
        found += [f"the key is in {place}" for place in self.shows_key]
        return found + self.trajectory.problems + [f"left: {what}" for what in self.left]


@dataclass(frozen=True)
class Trajectory:
    """What a run folder holds, and whether it is as it should be."""

    there: bool
    notebooks: int
    sealed: bool
    problems: list[str]
    events: list[Event]
    limit_at: float | None = None


def look(folder: Path) -> Trajectory:
    """Read every notebook and the record of a run folder, which need not be there."""
    if not (folder / "journal.jsonl").exists():
        return Trajectory(False, 0, False, [], [])
    notebooks = sorted(folder.rglob("*.ipynb"))
    problems = [p for path in notebooks if (p := _invalid(path))]
    record = journal.read(folder / "journal.jsonl")
    problems += [str(problem) for problem in record.problems]
    limit_at = _limit_at(record.events)
    return Trajectory(True, len(notebooks), record.sealed, problems, record.events, limit_at)


def _limit_at(events: list[Event]) -> float | None:
    """When the run's limit was reached: the first call that was refused for it, or the last turn;
    for a limit of time, that time and a little for what was on its way."""
    ends = [event for event in events if isinstance(event, RunEnded)]
    if not ends or ends[0].status != "limit":
        return None
    starts = [event for event in events if isinstance(event, RunStarted)]
    if "reached: seconds" in str(ends[0].reason):
        return starts[0].time + float(starts[0].settings["limits"]["seconds"]) + 0.1
    calls = [event for event in events if isinstance(event, CallEnded)]
    refused = [c.started for c in calls if (c.error or {}).get("type") == "LimitReached"]
    return min(refused, default=max(event.time for event in events if isinstance(event, Replied)))


def _invalid(path: Path) -> str | None:
    try:
        nbformat.validate(nbformat.read(path, as_version=4))  # type: ignore[no-untyped-call]
    except (nbformat.ValidationError, ValueError) as error:
        return f"{path.name} is no valid notebook: {str(error)[:200]}"
    return None


@contextmanager
def sandbox() -> Iterator[Path]:
    """A folder with a home, a temp folder and a working folder, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as made:  # short: socket paths
        base = Path(made)
        for name in ("home", "t", "work"):
            (base / name).mkdir()
        yield base


def command(case: Case, base: Path) -> list[str]:
    path = "input.txt"
    if case.context is not None:
        path = case.context(base / "work")
    else:
        (base / "work" / path).write_text("some text to ask about\n")
    out = [] if "--out" in case.arguments else ["--out", "run"]
    rlm = [sys.executable, "-m", "rlm_kernel", "run"]
    return [*rlm, "What is it?", "--context", path, *out, *case.arguments]


def environment(base: Path, url: str, more: Mapping[str, str]) -> dict[str, str]:
    """What a user's shell would have; an empty value in ``more`` unsets a variable."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    ours = {
        "HOME": str(base / "home"),
        "TMPDIR": str(base / "t"),
        "RLM_CACHE": str(base / "home"),
        "RLM_BASE_URL": url,
        "RLM_MODEL": "fake-model",
        "RLM_API_KEY": KEY,
        "RLM_RETRIES": "1",
    }
    return {name: value for name, value in {**kept, **ours, **more}.items() if value}


def run(case: Case) -> Seen:
    """Give a case to ``rlm run`` and look at all that came of it."""
    leftovers.adopt_orphans()
    with sandbox() as base, FakeEndpoint(Script(case)) as endpoint:
        words = command(case, base)
        environ = environment(base, endpoint.base_url, case.environ)
        before, started = leftovers.children(), time.monotonic()
        status, stdout, stderr = _finished(words, base / "work", environ)
        seconds = time.monotonic() - started
        left, _ = leftovers.left(base / "t", before)
        folder = base / "work" / "run"
        texts = {"standard output": stdout, "standard error": stderr}
        shown = [name for name, text in texts.items() if KEY in text]
        shown += [path.name for path in files(folder) if KEY.encode() in path.read_bytes()]
        return Seen(
            case, status, stdout, stderr, endpoint.log, folder, left, seconds, shown, look(folder)
        )


def _finished(
    words: list[str], cwd: Path, environ: Mapping[str, str]
) -> tuple[int | None, str, str]:
    """Exit status, None if it had to be ended, and both outputs."""
    with (cwd / "out.txt").open("w+b") as out, (cwd / "err.txt").open("w+b") as err:
        # Files, not pipes: what outlives the run must not keep us waiting for its end.
        process = subprocess.Popen(
            words, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        try:
            status: int | None = process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(WAIT_S)
            status = None
    texts = [(cwd / name).read_text(errors="replace") for name in ("out.txt", "err.txt")]
    return status, texts[0], texts[1]


def files(folder: Path) -> list[Path]:
    """The files of a run, but for very large ones."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 1 << 24]
