"""``rlm doctor``: what is in force, where it comes from, and whether it answers."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..environments.environment import Environment
from ..environments.kernel_config import kernel_template
from ..environments.registry import ENVIRONMENTS, open_live
from ..errors import LMError, RLMError
from ..kernel import extension
from ..lm.client import Reply
from ..lm.model import Model
from ..lm.models import Models, open_models
from ..record.numbers import spent
from ..reports.terminal import standard_output
from ..rlm import prompts
from ..rlm.run import CallMeter
from ..session.event_loop import engine
from ..settings.limits import Ledger, Limits
from ..settings.resolved import Resolved, unknown_variables
from .in_force import shown
from .settle import settle
from .statuses import ANSWERED, FAILED

_QUESTION = prompts.message("user", "Reply with the word: ready")


def work(options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    good = engine().run(examine(settle(options), standard_output()))
    return ANSWERED if good else FAILED


async def examine(force: Resolved, console: Console) -> bool:
    """Print the settings and try the kernel and both LMs; return whether all of them answered."""
    console.print(shown(force))
    console.print()
    for sentence in unknown_variables():
        console.print(sentence, style="yellow", markup=False)

    async def kernel() -> str:
        with tempfile.TemporaryDirectory() as cwd:
            async with open_live(kernel_template(force).config(Path(cwd))) as live:
                await live.kernel.execute("1 + 1")
        return "starts and runs a cell"

    environment, sandbox = ENVIRONMENTS[force.settings.environment], force.settings.sandbox
    # A sandbox has its image's Python, whatever kernelspecs are installed here.
    what = f"in {environment.name}" if environment.options else force.settings.kernel
    good = await _tried(console, f"kernel {what}", kernel)
    state = await asyncio.to_thread(extension.state)
    console.print(f"--  JupyterLab extension: {state}", markup=False, highlight=False)
    if environment.leavings:
        good &= await _tried(console, environment.leavings, lambda: _strays(environment, sandbox))

    async def models() -> str:
        async with open_models(force.settings, force.limits) as opened:
            answer = await _try_both(console, opened)
        names = f"author {opened.root.name}, sub-LM {opened.sub.name}, prompt {opened.style}"
        if not answer:
            raise RLMError(f"{names}: not all of them answer")
        return names

    return await _tried(console, "LM", models) and good


async def _strays(environment: Environment, sandbox: Mapping[str, Any]) -> str:
    found = await asyncio.to_thread(environment.strays, sandbox)
    remedy = f"`rlm clean --env {environment.name}` removes them"
    return f"left behind: {', '.join(found)}; {remedy}" if found else "none left behind"


async def _try_both(console: Console, models: Models) -> bool:
    async def author() -> str:
        return await _answered(_ask_author, models.root)

    async def sub() -> str:
        return await _answered(_ask_sub, models.sub)

    good = await _tried(console, f"author {models.root.name}", author)
    return await _tried(console, f"sub-LM {models.sub.name}", sub) and good


async def _answered(ask: Callable[[Model, CallMeter], Awaitable[Reply]], model: Model) -> str:
    meter = CallMeter(Ledger(Limits(calls=1, cost=0.1)))
    reply = (await ask(model, meter)).spoken()
    if reply.fault is not None:
        raise LMError(reply.fault, cause="empty", attempts=1)
    usage = meter.usage
    # An endpoint that refuses the usual way is asked otherwise in runs, too.
    otherwise = f"; asked with {', '.join(reply.adjustments)}" if reply.adjustments else ""
    return f"answers {reply.text.strip()[:40]!r} ({spent(usage)}){otherwise}"


async def _ask_author(model: Model, meter: CallMeter) -> Reply:
    """Ask as the turns of a run are asked: a stream, with a system message."""
    system = prompts.message("system", "You are asked whether you can be reached.")
    return await model.client.stream(
        model.name,
        [system, _QUESTION],
        meter,
        sampling=model.sampling,
        on_delta=lambda text: None,
        on_restart=lambda: None,
        cut=None,
    )


async def _ask_sub(model: Model, meter: CallMeter) -> Reply:
    """Ask as the sub-calls of a run are asked: in one piece, with one message."""
    return await model.client.complete(model.name, [_QUESTION], meter, sampling=model.sampling)


async def _tried(console: Console, what: str, attempt: Callable[[], Awaitable[str]]) -> bool:
    started = time.monotonic()
    try:
        said, good = await attempt(), True
    except RLMError as error:
        said, good = str(error), False
    seconds = time.monotonic() - started
    mark = ("ok  ", "green") if good else ("bad ", "red")
    console.print(Text.assemble(mark, f"{what}: {said} ({seconds:.1f} s)"))
    return good
