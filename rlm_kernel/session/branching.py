"""Several continuations of a run from one of its cells at once, in kernels that live already there.

The cells before it run once, in one kernel; each continuation goes on in a fork of that, with a
run folder of its own, whose record has all from the beginning and replays from disk as any other.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ..environments.kernel_config import KernelTemplate, kernel_template
from ..environments.registry import ENVIRONMENTS
from ..errors import KernelDied, KernelStartError, UsageError
from ..events import ROOT, ContextInfo
from ..inputs.tools import Tools
from ..record.equality import node_seed
from ..repl.branch import Branch, open_beside
from ..repl.guest_client import KernelSetup
from ..repl.protocol import Call, Calls, Slot
from ..repl.repl import Repl, open_repl
from ..repl.snapshots import Snapshot
from ..replay.continuation import Continuation
from ..replay.restore import restore
from ..rlm.cell_runner import CellRunner
from ..settings.limits import Budget
from ..settings.resolved import Resolved
from .result import Result
from .session import Reader, Session

log = logging.getLogger("rlm_kernel")
MOST = 64
"""Branches at once."""


class _NoCalls:
    """``repl.Calls`` of a kernel in which only recorded cells run."""

    async def serve(self, call: Call) -> list[Slot]:
        raise UsageError("a kernel that is to be branched from makes no calls of its own")


@dataclass(frozen=True)
class _Base:
    """The kernel that is branched from, and its snapshot; ``given`` tells of its context, and it
    works in ``cwd``."""

    repl: Repl
    snapshot: Snapshot
    given: ContextInfo
    cwd: Path


async def branch(
    session: Session,
    forks: Sequence[Continuation],
    readers: Sequence[Reader],
    say: Callable[[str], None],
    force: Resolved,
    tools: Tools,
) -> list[Result]:
    """Go on with all these forks of one cell of a run at once; return what came of each.

    They share the session's budget, which is that of one run where the session has none. Where no
    kernel can be forked there, which ``say`` is told, each restores a kernel of its own. Raises
    what ``Session.go_on`` does.
    """
    check_count(len(forks))
    session.budget = one_budget(session, force)
    kernels = kernel_template(force)
    temporary = TemporaryDirectory(prefix="rlm-branch-", ignore_cleanup_errors=True)
    place = nullcontext(kernels.cwd) if kernels.cwd is not None else temporary
    with place as cwd:
        async with _based(forks[0], kernels, Path(cwd), tools, say) as base:
            work = [
                session.go_on(
                    onward if base is None else _branched(onward, base, kernels),
                    readers,
                    force=placed(force, number),
                )
                for number, onward in enumerate(forks, 1)
            ]
            return list(await asyncio.gather(*work))


def check_count(branches: int) -> None:
    """Raise ``UsageError`` for so many as there may not be."""
    if not 1 <= branches <= MOST:
        raise UsageError(f"--branches {branches}: give a number from 1 to {MOST}")


def one_budget(session: Session, force: Resolved) -> Budget:
    """Return the session's budget, or that of one run where it has none."""
    limits = force.limits
    one = Budget(limits.cost, limits.seconds, tokens=limits.tokens)
    return one if session.budget.is_open else session.budget


def placed(force: Resolved, number: int) -> Resolved:
    """Return the settings of one of the branches, each with a run folder of its own."""
    out = force.settings.out
    if out is None:
        return force
    return replace(force, settings=replace(force.settings, out=Path(out) / f"branch-{number}"))


@asynccontextmanager
async def _based(
    onward: Continuation,
    kernels: KernelTemplate,
    cwd: Path,
    tools: Tools,
    say: Callable[[str], None],
) -> AsyncIterator[_Base | None]:
    """Give a kernel that stands where the fork leaves its record; None where it cannot be forked
    there."""
    if not ENVIRONMENTS[kernels.environment].branches:
        place = f"a sandbox of its own ({kernels.environment})"
        say(f"each branch runs the cells before it again, in {place}")
        yield None
        return
    own = await asyncio.to_thread(onward.tools, tools)
    setup = KernelSetup(kernels.config(cwd), tools=own.called, modules=own.modules, data=own.data)
    async with open_repl(_NoCalls(), setup) as repl:
        given = await _restored(onward, repl)
        await repl.snapshots.settled()
        if repl.snapshots.possible:
            await repl.snapshots.take(0, repl.names, repl.variables)
        if not repl.snapshots.newest_first:
            lost = ", ".join(repl.snapshots.lost) or "it cannot be forked"
            say(f"each branch runs the cells before it again: a fork would lose {lost}")
            yield None
            return
        say("the branches are forks of one live kernel")
        yield _Base(repl, repl.snapshots.newest_first[0], given, cwd)


async def _restored(onward: Continuation, repl: Repl) -> ContextInfo:
    """Bring a new kernel to where the fork leaves the record; return what its context is."""
    root, folder = onward.earlier.of(ROOT), onward.earlier.folder
    await restore(repl, root.prelude, root.answers, folder)
    if onward.variable is not None:
        given, _ = await repl.adopt(onward.variable)
    else:
        assert onward.source is not None
        given = await repl.set_context(onward.source)
    await repl.seed(node_seed(onward.seed, ROOT))
    await restore(repl, root.before_fork, root.answers, folder)
    return given


def _branched(onward: Continuation, base: _Base, kernels: KernelTemplate) -> Continuation:
    """Return the fork with a runner for its root that is a fork of the base's kernel."""
    onward.earlier.of(ROOT).live = True
    begun = False

    def opener(calls: Calls, setup: KernelSetup) -> AbstractAsyncContextManager[CellRunner]:
        nonlocal begun
        first, begun = not begun, True
        return _opened(base, calls, setup, kernels) if first else open_repl(calls, setup)

    return replace(onward, open_runner=opener)


@asynccontextmanager
async def _opened(
    base: _Base, calls: Calls, setup: KernelSetup, kernels: KernelTemplate
) -> AsyncIterator[CellRunner]:
    cwd = setup.config.cwd
    if kernels.cwd is None:  # what the cells before have written is its own from here on
        await asyncio.to_thread(shutil.copytree, base.cwd, cwd, symlinks=True, dirs_exist_ok=True)
    try:
        branch = Branch(calls, setup, base.given)
        async with open_beside(base.repl, base.snapshot, branch) as repl:
            yield repl
    except KernelDied as error:
        raise KernelStartError(f"a branch could not begin: {error}") from error
