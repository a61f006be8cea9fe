"""The kernel of a REPL, from its start over its deaths to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeVar

from ..answers import Answer
from ..endings import at_no_cost
from ..environments.kernel import Kernel
from ..errors import KernelDied, KernelStartError
from ..events import ContextInfo
from ..inputs.contexts import Source, standing
from ..settings.limits import Rate
from .guest_client import GuestClient, KernelSetup, open_guest
from .guest_requests import GuestRequests
from .protocol import as_texts
from .snapshots import Snapshot, Snapshots

log = logging.getLogger("rlm_kernel")
MAX_NAMES = 5
TAKEN_BACK = (
    "The question's cells changed how this kernel runs cells, which was taken back: {names}."
)
SPOILT = (
    "The question's cells changed this kernel in a way that cannot be taken back: do not rely on "
    "what it says from now on, start a fresh one (`%rlm kernel python3`, or a restart)."
)
TRIED = 8
"""Snapshots that are tried one after another where a cell has ended its kernel."""
T = TypeVar("T")


class KernelLife:
    """Opens a kernel, and the next one where it has died or is of no more use, with the same
    context and seed. ``begun`` is told of each one."""

    def __init__(
        self, setup: KernelSetup, requests: GuestRequests, begun: Callable[[Kernel], None]
    ) -> None:
        self._setup = setup
        self._requests = requests
        self._begun = begun
        self._stack = AsyncExitStack()
        self._awake = AsyncExitStack()
        """The parts of a kernel that has woken; the rest is as it was for the first."""
        self.snapshots = Snapshots(
            lambda: self.client, lambda: (self._context, self._seed), setup.config.snapshots
        )
        self._context: Source | None = None
        self._at_hand: Source | None = None
        """The same, as long as no human's cell may have made another one the kernel's."""
        self._seed: int | None = None
        self._paid_until = time.monotonic()
        self.names: list[str] = []
        """The variables that cells made so far; they go with the kernel."""
        self.variables: list[str] = []
        """The same with their types and sizes."""
        self.broken = ""
        """Why the kernel is of no more use, though it may live."""
        self.gone = ""
        self.changed = ""

    @property
    def client(self) -> GuestClient:
        assert self._requests.client is not None
        return self._requests.client

    def unpaid(self) -> tuple[float, Rate]:
        """See ``Repl.unpaid``."""
        now = time.monotonic()
        seconds, self._paid_until = now - self._paid_until, now
        client = self._requests.client
        return seconds, client.rate if client is not None else Rate()

    def reported(self, report: dict[str, Any]) -> list[str]:
        """Take the guest's report of a cell: what variables there are. Return the names of those
        that it made or changed."""
        told = (as_texts(report.get(key)) for key in ("names", "variables", "made"))
        self.names, self.variables, made = told
        return made

    # from birth to death
    async def open(self) -> None:
        """Start a kernel with the guest in it. Raises what ``open_guest`` raises."""
        self.broken = ""
        opening = open_guest(self._setup, self._requests)
        self._requests.client = await self._stack.enter_async_context(opening)
        self._begun(self.client.kernel)

    async def open_beside(self, base: GuestClient, snapshot: Snapshot) -> None:
        """Start with the kernel as it was at a snapshot of another one, beside that. Raises
        ``KernelDied`` and ``KernelStartError``."""
        waking = base.woken(snapshot.name, None, self._requests, begun=snapshot.begun)
        client = self._requests.client = await self._stack.enter_async_context(waking)
        self.names, self.variables = list(snapshot.names), list(snapshot.variables)
        self._context, self._seed = snapshot.given
        self.snapshots.mode = "off"  # one that woke would end the kernels beside it
        self._begun(client.kernel)
        await client.work_in(str(self._setup.config.cwd))

    async def close(self) -> None:
        """End the kernel. What goes wrong then is logged: what it was for is over."""
        self._requests.stop()
        self.snapshots.forget()
        awake, self._awake = self._awake, AsyncExitStack()
        stack, self._stack = self._stack, AsyncExitStack()
        for each in (awake, stack):
            with at_no_cost("a kernel could not be ended"):
                await each.aclose()

    async def revive(self, *, context: bool) -> str | None:
        """See ``Repl.revive``."""
        if self._usable:
            return None
        self.gone = self.broken or self.client.kernel.epitaph()
        await (self.reopen() if context else self._renew())
        return self.gone

    async def reopen(self) -> list[str]:
        """Replace the kernel by one with context and seed. Returns the names that were lost."""
        lost = self.names
        await self._renew()
        if self._context is not None:
            await self.set_context(self._context)
        if self._seed is not None:
            await self._ours(self.client.begin(self._seed))
        return lost

    async def recover(self) -> tuple[list[str], int | None]:
        """Replace a kernel that a cell has ended: by its newest snapshot that can wake, or else as
        ``reopen`` does. Returns the names that were lost, and the cell after which the kernel
        stands again."""
        names = self.names
        for snapshot in self.snapshots.newest_first[:TRIED]:
            if (why := await self.wake(snapshot)) is None:
                return [name for name in names if name not in self.names], snapshot.cell
            log.info("a kernel could not go back to after cell %s: %s", snapshot.cell, why)
        return await self.reopen(), None

    async def go_back(self, cell: int) -> str | None:
        """See ``Repl.go_back``."""
        await self.snapshots.settled()
        snapshot = self.snapshots.at(cell)
        return "there is no snapshot of it" if snapshot is None else await self.wake(snapshot)

    async def wake(self, snapshot: Snapshot) -> str | None:
        """Put the kernel as it was at a snapshot in the place of the one there is; return None, or
        why that cannot be: then nothing is promised of that one."""
        self._requests.stop()
        keep = [each.pid for each in self.snapshots.kept]
        awake = AsyncExitStack()
        waking = self.client.woken(snapshot.name, keep, self._requests, begun=snapshot.begun)
        try:
            client = await awake.enter_async_context(waking)
        except (KernelDied, KernelStartError) as error:
            return str(error)
        before, self._awake = self._awake, awake
        self._requests.client, self.broken = client, ""
        self.names, self.variables = list(snapshot.names), list(snapshot.variables)
        self._context, self._seed = snapshot.given
        self._at_hand = self._context if self._at_hand is self._context else None
        self._begun(client.kernel)
        with at_no_cost("a kernel could not be ended"):
            await before.aclose()
        await self.snapshots.drop_after(snapshot.cell)
        return None

    async def _renew(self) -> None:
        self.names, self.variables = [], []
        await self.close()
        await self.open()

    @property
    def _usable(self) -> bool:
        client = self._requests.client
        return client is not None and client.kernel.alive and not self.broken

    # what it is given
    async def set_context(self, source: Source) -> ContextInfo:
        """See ``Repl.set_context``."""
        await self.revive(context=False)
        self._context = self._at_hand = source
        return await self._ours(self.client.give(source))

    async def find(self, name: str) -> None:
        """See ``Repl.find``."""
        await self._ours(self.client.find(name))

    async def adopt(self, name: str) -> tuple[ContextInfo, Source | None]:
        """See ``Repl.adopt``."""
        info, self._context = await self._ours(self.client.adopt(name, self._context))
        self._at_hand = self._context
        return info, self._context

    async def assign(self, name: str, answer: Answer) -> str:
        """See ``Repl.assign``."""
        source = await self._ours(self.client.assign(name, answer))
        if name not in self.names:  # the next report of a cell has it
            self.names = [*self.names, name]
        return source

    def may_be_rebound(self) -> None:
        """Note that a human's cell runs: the context may be another one afterwards."""
        self._at_hand = None

    async def standing(self, answer: Answer | None) -> Answer | None:
        """Return an answer with its evidence looked for in the context, where that is at hand."""
        if answer is None or not answer.evidence or self._at_hand is None:
            return answer
        evidence = await asyncio.to_thread(standing, answer.evidence, self._at_hand)
        return replace(answer, evidence=evidence)

    async def display(self, name: str) -> dict[str, Any]:
        """See ``Repl.display``."""
        return await self._ours(self.client.display(name))

    async def form(self, text: str) -> dict[str, Any]:
        """See ``Repl.form``."""
        return await self._ours(self.client.form(text))

    async def seed(self, number: int | None) -> None:
        """See ``Repl.seed``."""
        self._seed = number
        self.changed = ""
        if not self._usable:
            return
        if number is not None:
            await self._ours(self.client.begin(number))
            return
        names = await self._ours(self.client.end())
        if names is None:
            self.changed = SPOILT
            log.warning("%s", SPOILT)
        elif names:
            self.changed = TAKEN_BACK.format(names=", ".join(names[:MAX_NAMES]))
            log.info("%s", self.changed)

    async def _ours(self, work: Awaitable[T]) -> T:
        """Return what code of ours gives in the kernel; one that does not run it is broken. A
        snapshot is of the kernel as its cell left it: none is taken later."""
        await self.snapshots.settled()
        try:
            return await work
        except KernelDied as error:
            self.broken = str(error)
            raise
