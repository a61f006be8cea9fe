"""One kernel under test, whatever environment it runs in."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.events import ContextInfo
from rlm_kernel.inputs import contexts
from rlm_kernel.inputs.tools import Tools
from rlm_kernel.record.outputs import text_of
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.protocol import Call, Slot
from rlm_kernel.repl.repl import Repl, open_repl
from rlm_kernel.repl.running_cell import Author, Ran
from rlm_kernel.settings.limits import CellLimits
from tests.modals import SERVICE, TRANSPORTS, image, use_plane

BWRAP = pytest.param("bwrap", marks=pytest.mark.needs("bwrap"))
SANDBOXES = [
    BWRAP,
    pytest.param("docker", marks=pytest.mark.needs("docker")),
    *(
        pytest.param(f"modal-{each}", marks=() if SERVICE else pytest.mark.needs("plane"))
        for each in TRANSPORTS
    ),
]
ENVIRONMENTS = ["local", *SANDBOXES]
ONE_TRANSPORT = [each for each in ENVIRONMENTS if "modal-exec" not in getattr(each, "values", ())]
"""For what the pipe to a sandbox at Modal cannot change."""
SECONDS = 60.0


@cache
def sandbox(environment: str) -> dict[str, Any]:
    """The settings of an environment that differ from the defaults, its name among them: there is
    no registry here, and no Modal but one of our own."""
    name, _, transport = environment.partition("-")
    if name == "modal":
        if not SERVICE:
            use_plane()
        return {"environment": name, "transport": transport, "packages": ("pandas",)}
    if name == "docker":
        return {"environment": name, "image": image(), "cpus": 2.0}
    return {"environment": name}


async def echo(call: Call) -> list[Slot]:
    """Each prompt comes back in angle brackets."""
    return [{"value": f"<{prompt}>"} for prompt in call.prompts]


class Answers:
    """``repl.Calls`` that keeps every call and answers as the test says."""

    def __init__(self) -> None:
        self.seen: list[Call] = []
        self.serving: Callable[[Call], Awaitable[list[Slot]]] = echo
        self.cancelled = asyncio.Event()
        self.asked = asyncio.Event()

    async def serve(self, call: Call) -> list[Slot]:
        self.seen.append(call)
        self.asked.set()
        try:
            return await self.serving(call)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Bench:
    """A REPL, the answers to its calls, and its cells numbered from 1."""

    def __init__(self, repl: Repl, calls: Answers) -> None:
        self.repl = repl
        self.calls = calls
        self.cell = 0
        """The number of the last cell."""
        self._usual = calls.serving, repl.held

    def as_made(self) -> Bench:
        """The same, with the answers and limits that it was made with; what cells did stays."""
        self.calls.seen.clear()
        self.calls.asked.clear()
        self.calls.cancelled.clear()
        self.calls.serving, self.repl.held = self._usual
        return self

    async def run(self, source: str, author: Author = "lm") -> Ran:
        self.cell += 1
        async with asyncio.timeout(SECONDS):
            return await self.repl.run(source, cell=self.cell, author=author)

    async def briefly(self, source: str) -> Ran:
        """Run a cell that has a second."""
        usual = self.repl.held
        self.repl.held = dataclasses.replace(usual, seconds=1.0)
        try:
            return await self.run(source)
        finally:
            self.repl.held = usual

    async def said(self, source: str, author: Author = "lm") -> str:
        """What a cell that must end well put out, as text."""
        ran = await self.run(source, author)
        assert ran.status == "ok", text_of(ran.outputs, 5000)
        return shown(ran)

    async def give(self, value: object) -> ContextInfo:
        source = (
            contexts.from_path(value) if isinstance(value, Path) else contexts.from_value(value)
        )
        async with asyncio.timeout(SECONDS):
            return await self.repl.set_context(source)


Opener = Callable[..., AbstractAsyncContextManager[Bench]]


def shown(ran: Ran) -> str:
    return text_of(ran.outputs, 100_000)


@asynccontextmanager
async def bench(
    environment: str,
    cwd: Path,
    *,
    tools: dict[str, object] | None = None,
    options: Mapping[str, Any] | None = None,
    snapshots: str = "off",
    **held: Any,
) -> AsyncIterator[Bench]:
    """A kernel of its own in the environment, with an empty context; ``held`` is what its cells
    are held to, ``options`` are the sandbox's."""
    calls, handed = Answers(), Tools(tools)

    async def call_tool(call: Call) -> list[Slot]:
        if call.op == "tool":
            return [await handed.call(call.tool, call.arguments)]
        return await echo(call)

    calls.serving = call_tool
    chosen = {**sandbox(environment), **(options or {})}
    spot = KernelConfig(cwd, chosen.pop("environment"), sandbox=chosen, snapshots=snapshots)
    sent = {"tools": handed.called, "modules": handed.modules, "data": handed.data}
    async with open_repl(calls, KernelSetup(spot, **sent), CellLimits(**held)) as repl:
        made = Bench(repl, calls)
        await made.give("")
        yield made
