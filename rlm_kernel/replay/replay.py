"""Replay is re-execution: the recorded cells run again, and calls answer from the record.

No LM is asked. Each node runs in a fresh kernel of its own, children before their parents.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..answers import Answer
from ..environments.kernel_config import KernelConfig, KernelTemplate
from ..errors import ContextError, RecordError
from ..events import ROOT, ContextInfo, Output
from ..inputs import contexts
from ..record.equality import digest_as_kept
from ..record.nodes import RecordedCell, RecordedContext, RecordedNode
from ..record.notebooks.tools import called, modules
from ..record.numbers import counted
from ..record.outputs import Collector, text_of
from ..record.trajectory import RecordedRun
from ..repl.guest_client import KernelSetup
from ..repl.protocol import Calls
from ..repl.repl import Repl, open_repl
from ..repl.running_cell import Ran
from ..settings.limits import CellLimits
from ..settings.resolved import recorded_place
from .verdict import RecordedCalls, Verdict

SHOWN = 20
"""Sentences of each kind that are told to people."""


class Replay:
    """One node on its way through a kernel again, step by step; what differs goes to ``verdict``.

    The caller opens the kernel with ``opened``, takes the steps of the node and calls ``finish``.
    """

    def __init__(self, recorded: RecordedRun, node: RecordedNode, verdict: Verdict) -> None:
        self.node = node
        self.verdict = verdict
        self.calls = RecordedCalls(node, verdict)
        self._recorded = recorded

    @property
    def trust_html(self) -> bool:
        """A record that does not say was made before anything was filtered."""
        return bool(self._recorded.settings.get("trust_html", True))

    @asynccontextmanager
    async def opened(
        self, kernels: KernelTemplate, calls: Calls | None = None
    ) -> AsyncIterator[Repl]:
        """A fresh kernel in a working folder that goes with it; its calls go to ``calls``, by
        default to ours."""
        with tempfile.TemporaryDirectory(prefix="rlm-replay-") as cwd:
            setup = _setup(self._recorded, kernels.config(Path(cwd)))
            held = recorded_limits(self._recorded)
            async with open_repl(calls or self.calls, setup, held) as repl:
                yield repl

    async def give(
        self, repl: Repl, spec: dict[str, Any]
    ) -> tuple[ContextInfo, contexts.Source | None] | None:
        """Give the kernel a recorded context: the value of the variable that it was, if it was
        one, or else the copy of it. What ``Repl.adopt`` gives; None where there is neither."""
        where, variable = f"node {self.node.node}", spec.get("variable")
        if variable is not None:
            try:
                info, source = await repl.adopt(str(variable))
            except ContextError as missing:
                if spec.get("sha256") is None:
                    self.verdict.differences.append(f"{where}: {missing}")
                    return None
            else:
                if not _same(spec, info.spec):
                    what = f"the variable {variable}, which was the context"
                    self.verdict.differences.append(f"{where}: {what}, is not what it was")
                return info, source
        source = _found(self._recorded, spec, f"the context of {where}")
        return await repl.set_context(source), source

    async def seed(self, repl: Repl) -> None:
        """Draw from here on what was drawn after the question's context was given."""
        await repl.seed(self._recorded.seed(self.node.node))

    async def run(
        self,
        repl: Repl,
        cell: RecordedCell,
        *,
        number: int | None = None,
        collector: Collector | None = None,
    ) -> Ran:
        """Run a cell again and compare. ``number`` is what its calls name it by, if not as in the
        record; ``collector`` takes the outputs as the record has them."""
        trusted = cell.author == "lm" and self.trust_html
        repl.held = replace(repl.held, wanted=cell.wanted)
        ran = await repl.run(
            cell.source,
            cell=cell.cell if number is None else number,
            author=cell.author,  # type: ignore[arg-type]
            seconds=repl.held.again(cell.status, cell.seconds),
            collector=collector or Collector(trust_html=trusted),
            inputs=cell.inputs,
        )
        self.calls.differ(cell.cell, _compared(self.node.node, cell, ran))
        self.verdict.cells += 1
        return ran

    def finish(self, left_out: Collection[int] = ()) -> None:
        """Look for what was not done again; not in the cells ``left_out``."""
        self.calls.finish(left_out)


async def replay(
    recorded: RecordedRun,
    progress: Callable[[str], None],
    kernels: KernelTemplate | None = None,
    context: contexts.Source | None = None,
) -> Verdict:
    """Run every node again and compare. Raises ``RecordError`` where a context cannot be found.

    Cells run where ``kernels`` says, by default where they ran. ``context`` is the root's, where it
    is not found from the record. What was changed after the run, files and context, counts as a
    difference, and is told before anything runs.
    """
    verdict = Verdict(differences=list(recorded.problems), notes=list(recorded.notes))
    if context is not None:
        verdict.differences += _replaced(recorded, context)
    for problem in verdict.differences[:SHOWN]:
        progress(f"changed: {problem}")
    nodes = list(recorded.nodes.values())
    await replay_nodes(recorded, nodes, verdict, progress, kernels)
    verdict.differences += children_compared(recorded)
    return verdict


async def replay_nodes(
    recorded: RecordedRun,
    nodes: Iterable[RecordedNode],
    verdict: Verdict,
    progress: Callable[[str], None],
    kernels: KernelTemplate | None = None,
) -> None:
    """Run these nodes of the record again, each in a kernel of its own, the lowest first."""
    for node in sorted(nodes, key=_depth_first):
        progress(f"node {node.node}: {counted(len(node.cells), 'cell')}")
        await _replay_node(Replay(recorded, node, verdict), kernels or recorded_kernels(recorded))


def _replaced(recorded: RecordedRun, context: contexts.Source) -> list[str]:
    """Give the root this context; return a sentence if it is not the recorded one."""
    node = recorded.nodes.get(ROOT)
    if node is None or node.context is None:
        raise RecordError("this is not the record of a root that was given a context")
    spec = node.context.spec
    context = _as_recorded(spec, context)
    now = context.spec()
    node.context = RecordedContext({**now, "path": str(context.path) if context.path else None})
    if spec.get("sha256") == context.sha256:
        return []
    return [
        f"the context is another: SHA-256 {context.sha256[:16]}… of {context.size:,} bytes, in the "
        f"record {str(spec.get('sha256'))[:16]}… of {spec.get('size') or 0:,}"
    ]


def _as_recorded(spec: dict[str, Any], context: contexts.Source) -> contexts.Source:
    """Return the context read as the recorded one was, where it is the same."""
    if context.kind not in ("csv", "folder") or context.path is None:
        return context
    wanted = {**spec, "path": str(context.path)}
    return contexts.find(wanted, context.path.parent)[0] or context


def _depth_first(node: RecordedNode) -> tuple[int, str]:
    return -node.node.count("."), node.node


async def _replay_node(again: Replay, kernels: KernelTemplate) -> None:
    async with again.opened(kernels) as repl:
        for step in again.node.steps:
            if isinstance(step, RecordedContext):
                await again.give(repl, step.spec)
                if step is again.node.context:
                    await again.seed(repl)
            elif step.ended_kernel:
                await repl.restart()
            elif step.runs_again:
                await again.run(repl, step)
        again.finish()


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether two copies of a variable may be of the same value. Equal values can have
    pickles that differ, and of some there is no copy."""
    if before["kind"] != now["kind"] or before["kind"] not in ("text", "bytes", "json"):
        return True
    return bool(before["sha256"] == now["sha256"])


def _found(recorded: RecordedRun, spec: dict[str, Any], what: str) -> contexts.Source:
    source, reason = contexts.find(spec, recorded.folder.resolve())
    if source is None:
        raise RecordError(f"{what} cannot be found again: {reason}")
    return source


def recorded_kernels(recorded: RecordedRun) -> KernelTemplate:
    """Return how the run's kernels were made, as far as a record may decide it. Records of the
    first versions do not say where."""
    settings = recorded.settings
    environment = settings.get("environment", "local")
    sandbox = recorded_place(environment, settings.get("sandbox", {}))
    return KernelTemplate(
        environment=environment,
        sandbox=sandbox,
        kernel_name=settings.get("kernel", "python3"),
    )


def _setup(recorded: RecordedRun, config: KernelConfig) -> KernelSetup:
    settings = recorded.settings
    return KernelSetup(
        config,
        tools=[{"name": n, "signature": "(...)", "doc": ""} for n in called(settings)],
        modules=modules(settings),
        data={n: _found(recorded, spec, n) for n, spec in settings.get("data", {}).items()},
    )


def recorded_limits(recorded: RecordedRun) -> CellLimits:
    """Return what the run's cells were held to. Raises ``RecordError`` where it is not recorded."""
    was = recorded.settings
    try:
        return CellLimits(
            seconds=was["limits"]["cell_seconds"],
            prompt_chars=was["prompt_chars"],
            batch=was["max_batch"],
            ahead=was.get("loops") == "batched",
        )
    except KeyError as missing:
        raise RecordError(f"{recorded.folder}: the record's settings have no {missing}") from None


def _compared(node: str, cell: RecordedCell, ran: Ran) -> Iterable[str]:
    where = f"node {node}, cell {cell.cell}"
    if ran.status != cell.status:
        return [f"{where}: it ended as {ran.status}, in the record as {cell.status}"]
    if not cell.gave(ran.answer):
        now, then = _told(ran.answer), _told(cell.answer)
        return [f"{where}: it gave the answer {now}, in the record {then}"]
    if cell.status not in ("ok", "error"):
        return []
    if not cell.put_out(ran.outputs, concurrent=ran.concurrent):
        now = text_of(ran.outputs, 400)
        before = "(not kept)" if cell.outputs is None else text_of(cell.outputs, 400)
        return [f"{where}: its outputs differ.\nrecorded: {before}\nnow: {now}"]
    concurrent = cell.concurrent or ran.concurrent
    kept = [digest_as_kept(seen, concurrent=concurrent) for seen in _shown(ran.outputs)]
    if cell.shown is not None and cell.shown not in kept:
        return [
            f"{where}: the outputs in its notebook are not those of the record, and a replay "
            "does not give them either"
        ]
    return []


def _told(answer: Answer | None) -> str:
    return "(none)" if answer is None else f"{answer.text!r} ({answer.type})"


def _shown(outputs: list[Output]) -> Iterator[list[Output]]:
    """Yield what a notebook has of these outputs after Run All: a record may have HTML as cells
    made it, a replay shows only what passes the filter."""
    yield outputs
    filtered = Collector()
    for output in outputs:
        filtered.add(output["output_type"], output)
    yield filtered.outputs


def children_compared(recorded: RecordedRun) -> Iterable[str]:
    """Compare each child's answer with what its parent was given; yield the differences."""
    for node in recorded.nodes.values():
        for call in node.calls:
            child = recorded.nodes.get(call.child or "")
            given = child.answer.json if child is not None and child.answer is not None else None
            if child is not None and "value" in call.slot and call.slot["value"] != given:
                yield (
                    f"node {node.node}, cell {call.cell}: it was given {call.slot['value']!r} by "
                    f"child {child.node}, whose answer in the record is {given!r}"
                )
