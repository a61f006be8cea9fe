"""Replay is re-execution: the recorded cells run again, and calls answer from the record.

No LM is asked. Each node runs in a fresh kernel of its own, children before their parents.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from . import contexts
from .errors import CallRefused, ContextError, RecordError
from .outputs import Collector, text_of
from .places import Spot
from .protocol import Call, Refused, Slot, identity
from .record.tools import called, modules
from .record.trajectory import (
    Recorded,
    RecordedCall,
    RecordedCell,
    RecordedContext,
    RecordedNode,
)
from .repl import Repl, open_repl
from .room import Setup
from .run import Kernels

Result = Literal["equal", "differs", "ambiguous"]


@dataclass
class Verdict:
    """What a replay found. ``differences`` and ``ambiguities`` are sentences, first things first;
    ``calls`` counts the prompts answered from the record, ``cells`` the cells compared."""

    cells: int = 0
    calls: int = 0
    differences: list[str] = field(default_factory=list)
    ambiguities: list[str] = field(default_factory=list)

    @property
    def result(self) -> Result:
        if self.differences:
            return "differs"
        return "ambiguous" if self.ambiguities else "equal"


class RecordedCalls:
    """``repl.Calls`` that answers from the record of one node."""

    def __init__(self, node: RecordedNode, verdict: Verdict) -> None:
        self._verdict = verdict
        self._node = node
        self._calls: dict[tuple[int, str, int], list[RecordedCall]] = defaultdict(list)
        for call in node.calls:
            self._calls[call.cell, call.key, call.occurrence].append(call)
        self._seen: Counter[tuple[int, str]] = Counter()
        self._used: set[tuple[int, str, int]] = set()

    async def serve(self, call: Call) -> list[Slot]:
        key = identity(call)
        occurrence = self._seen[call.cell, key]
        self._seen[call.cell, key] += 1
        found = sorted(self._calls.get((call.cell, key, occurrence), ()), key=lambda c: c.index)
        if not found:
            raise CallRefused(self._miss(call))
        self._used.add((call.cell, key, occurrence))
        self._verdict.calls += len(found)
        wanted = max(len(call.prompts), 1)
        errors = [c.slot["error"] for c in found if "error" in c.slot]
        limits = [error for error in errors if error["type"] == "LimitReached"]
        if limits or len(found) < wanted:  # the whole call was refused
            raise Refused({"error": (limits or errors)[0]})
        return [c.slot for c in found]

    def _miss(self, call: Call) -> str:
        asked = call.prompts[0][:80] if call.prompts else call.tool
        text = (
            f"node {self._node.node}, cell {call.cell}: the record has no reply for this "
            f"{call.op} of {asked!r}: the code before it, the context or its order changed"
        )
        self._verdict.differences.append(text)
        return text

    def unused(self) -> list[str]:
        """Calls of the record that the replay did not make, of the cells that ran again."""
        again = {cell.cell for cell in self._node.cells if cell.status != "interrupted"}
        left = [
            calls[0]
            for place, calls in self._calls.items()
            if place not in self._used and calls[0].cell in again
        ]
        return [
            f"node {self._node.node}, cell {c.cell}: the recorded {c.op} was not made again"
            for c in left
        ]

    def ambiguous(self) -> list[str]:
        """Equal calls that were under way together and got different replies: which caller got
        which is not in the record."""
        by_key: dict[tuple[int, str, int], list[RecordedCall]] = defaultdict(list)
        for call in self._node.calls:
            by_key[call.cell, call.key, call.index].append(call)
        return [
            f"node {self._node.node}, cell {same[0].cell}: {len(same)} equal calls of "
            f"{same[0].op} at the same time got different replies"
            for same in by_key.values()
            if _overlapping(same) and any(c.slot != same[0].slot for c in same)
        ]


def _overlapping(calls: list[RecordedCall]) -> bool:
    """Whether any two were under way together; calls whose times were not kept may have been."""
    spans = [call.span for call in calls]
    if len(calls) < 2:
        return False
    known = sorted(span for span in spans if span is not None)
    if len(known) < len(spans):
        return True
    return any(before[1] > after[0] for before, after in itertools.pairwise(known))


async def replay(
    recorded: Recorded, progress: Callable[[str], None], kernels: Kernels | None = None
) -> Verdict:
    """Run every node again and compare. Raises ``RecordError`` where a context cannot be found.

    Cells run where ``kernels`` says, by default where they ran. What was changed in the files after
    the run counts as a difference.
    """
    verdict = Verdict(differences=list(recorded.problems))
    for node in sorted(recorded.nodes.values(), key=_depth_first):
        progress(f"node {node.node}: {len(node.cells)} cells")
        await _replay_node(recorded, node, verdict, kernels or recorded_kernels(recorded))
    verdict.differences += _children_compared(recorded)
    return verdict


def _depth_first(node: RecordedNode) -> tuple[int, str]:
    return -node.node.count("."), node.node


async def _replay_node(
    recorded: Recorded, node: RecordedNode, verdict: Verdict, kernels: Kernels
) -> None:
    calls = RecordedCalls(node, verdict)
    with tempfile.TemporaryDirectory(prefix="rlm-replay-") as cwd:
        async with open_repl(calls, _setup(recorded, kernels.spot(Path(cwd)))) as repl:
            # A record that does not say was made before anything was filtered.
            repl.trust_html = bool(recorded.settings.get("trust_html", True))
            for step in node.steps:
                if isinstance(step, RecordedContext):
                    verdict.differences += await _give(repl, recorded, node.node, step.spec)
                    if step is node.context:
                        await repl.seed(recorded.seed(node.node))
                elif step.status != "interrupted":
                    verdict.differences += await _replay_cell(repl, node.node, step)
                    verdict.cells += 1
    verdict.differences += calls.unused()
    verdict.ambiguities += calls.ambiguous()


async def _give(repl: Repl, recorded: Recorded, node: str, spec: dict[str, Any]) -> Iterable[str]:
    """Give the kernel a recorded context: the value of the variable that it was, if it was one,
    or else the copy of it."""
    variable = spec.get("variable")
    if variable is not None:
        try:
            info, _ = await repl.adopt(str(variable))
        except ContextError as missing:
            if spec.get("sha256") is None:
                return [f"node {node}: {missing}"]
        else:
            what = f"the variable {variable}, which was the context"
            return [] if _same(spec, info.spec) else [f"node {node}: {what}, is not what it was"]
    await repl.set_context(_found(recorded, spec, f"the context of node {node}"))
    return []


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two copies of a variable's value may be of the same value. Equal values can have
    pickles that differ, and of some there is no copy."""
    if before["kind"] != now["kind"] or before["kind"] not in ("text", "bytes", "json"):
        return True
    return bool(before["sha256"] == now["sha256"])


def _found(recorded: Recorded, spec: dict[str, Any], what: str) -> contexts.Source:
    source, reason = contexts.find(spec, recorded.folder.resolve())
    if source is None:
        raise RecordError(f"{what} cannot be found again: {reason}")
    return source


def recorded_kernels(recorded: Recorded) -> Kernels:
    """How the run's kernels were made, without what would open a sandbox: whether code that came
    with a record may reach the network or this machine's files is for the user to say. Records of
    the first versions do not say where."""
    settings = recorded.settings
    made: dict[str, Any] = settings.get("sandbox", {})
    sandbox = {name: value for name, value in made.items() if name not in ("network", "mounts")}
    return Kernels(settings.get("environment", "local"), sandbox, settings.get("kernel", "python3"))


def _setup(recorded: Recorded, spot: Spot) -> Setup:
    settings = recorded.settings
    try:
        return Setup(
            spot,
            tools=[{"name": n, "signature": "(...)", "doc": ""} for n in called(settings)],
            modules=modules(settings),
            data={n: _found(recorded, spec, n) for n, spec in settings.get("data", {}).items()},
            max_prompt_chars=settings["prompt_chars"],
            max_batch=settings["max_batch"],
            cell_seconds=settings["limits"]["cell_seconds"],
        )
    except KeyError as missing:
        raise RecordError(f"{recorded.folder}: the record's settings have no {missing}") from None


async def _replay_cell(repl: Repl, node: str, cell: RecordedCell) -> Iterable[str]:
    ran = await repl.run(
        cell.source,
        cell=cell.cell,
        author=cell.author,  # type: ignore[arg-type]
        collector=repl.collector() if cell.author == "lm" else Collector(),
        inputs=cell.inputs,
    )
    where = f"node {node}, cell {cell.cell}"
    if ran.status != cell.status:
        return [f"{where}: it ended as {ran.status}, in the record as {cell.status}"]
    if ran.answer != cell.answer:
        return [f"{where}: it gave the answer {ran.answer!r}, in the record {cell.answer!r}"]
    same = cell.put_out(ran.outputs, concurrent=ran.concurrent)
    if cell.status in ("ok", "error") and not same:
        before, now = text_of(cell.outputs or [], 400), text_of(ran.outputs, 400)
        return [f"{where}: its outputs differ.\nrecorded: {before}\nnow: {now}"]
    return []


def _children_compared(recorded: Recorded) -> Iterable[str]:
    """Each child's answer against what its parent was given."""
    for node in recorded.nodes.values():
        for call in node.calls:
            child = recorded.nodes.get(call.child or "")
            if child is not None and "value" in call.slot and call.slot["value"] != child.answer:
                yield (
                    f"node {node.node}, cell {call.cell}: it was given {call.slot['value']!r} by "
                    f"child {child.node}, whose answer in the record is {child.answer!r}"
                )
