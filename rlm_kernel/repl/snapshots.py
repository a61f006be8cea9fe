"""Snapshots of a kernel: frozen forks of it, by which it goes back to after a cell.

They are taken between two cells, while the LM writes, and never on the path of a cell. Where
anything about them fails, there is none, and all goes on as without.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from ..endings import to_the_end
from ..errors import KernelDied
from ..inputs.contexts import Source
from .guest_client import GuestClient
from .running_cell import RunningCell

log = logging.getLogger("rlm_kernel")
MOST = 32
"""Snapshots at a time."""
MOST_BYTES = 1 << 26
"""Bytes of memory that they may have for themselves; the rest they share with the kernel. A run may
have many kernels."""
MOST_BYTES_ON = 1 << 29
"""The same where a human has put them ``on``."""
MEASURED = 4
"""The newest ones, whose memory is looked at each time: that of older ones changes little."""
SHARE = 0.05
"""The share of the time so far that they may take, unless they are ``on``."""
FIRST_S = 0.05
"""So long the first one is thought to take."""
PAUSE_S = 0.01
"""A cell that comes within that time after another is not kept waiting."""


Given = tuple[Source | None, int | None]
"""The context and the seed of a kernel."""


@dataclass
class Snapshot:
    """The kernel as it was after a cell, in a frozen fork of this ``name``. ``begun`` says that it
    was in the middle of a question. ``private`` is what it has of memory for itself, in bytes."""

    cell: int
    name: str
    pid: int
    names: list[str]
    variables: list[str]
    begun: bool
    given: Given
    private: int = 0


@dataclass
class Snapshots:
    """Those of one kernel, and of the kernels that they became; the oldest first.

    ``client`` gives the kernel as it is now, and ``given`` what that was given. ``mode`` is as in
    ``Settings.snapshots``.
    """

    client: Callable[[], GuestClient]
    given: Callable[[], Given]
    mode: str = "off"
    kept: list[Snapshot] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """The reason in words that there is none of the last cell."""
    taken: int = 0
    seconds: float = 0.0
    """The time that they have taken so far."""
    _since: float = field(default_factory=time.monotonic)
    _last: float = FIRST_S
    _said: bool = False
    _spared: Snapshot | None = None
    task: asyncio.Task[None] | None = None
    """Takes the next one."""
    _pausing: bool = False

    def wanted(self, author: str) -> bool:
        """Return whether one is to be taken after a cell of this author's, if there is time."""
        if self.mode == "off" or not self.possible:
            return False
        return self.mode == "on" or (author == "lm" and self._affordable)

    @property
    def possible(self) -> bool:
        """True where the kernel can be forked at all."""
        return self.client().most_forks > 0

    @property
    def _affordable(self) -> bool:
        return self.seconds + self._last <= SHARE * (time.monotonic() - self._since)

    def soon(self, ended: RunningCell, author: str, names: list[str], variables: list[str]) -> None:
        """Take one after this cell: in a while, unless another cell comes first, or at once where
        they are ``on``."""
        if ended.report and self.wanted(author):
            self._pausing = self.mode != "on"
            self.task = asyncio.create_task(self._take(ended.number, names, variables))
            self.task.add_done_callback(_log_fault)

    async def settled(self) -> None:
        """Wait for the one that is being taken; give up one that was to be."""
        task, self.task = self.task, None
        if task is not None:
            if self._pausing:
                task.cancel()
            await asyncio.wait({task})

    async def _take(self, cell: int, names: list[str], variables: list[str]) -> None:
        if self._pausing:
            await asyncio.sleep(PAUSE_S)
        self._pausing = False
        await self.take(cell, names, variables)

    async def take(self, cell: int, names: list[str], variables: list[str]) -> None:
        """Take one and keep it, as ``_made`` makes it."""
        if (made := await self._made(cell, names, variables)) is not None:
            self.kept.append(made)
            await self._spare_newest()
            await self._thin()

    @contextlib.asynccontextmanager
    async def passing(
        self, names: list[str], variables: list[str]
    ) -> AsyncIterator[Snapshot | None]:
        """Give one of the kernel as it is now, which is let go of afterwards; None where there can
        be none."""
        await self.settled()
        made = await self._made(0, names, variables) if self.possible else None
        try:
            yield made
        finally:
            await to_the_end(self._tell(made, "end"))

    async def _made(self, cell: int, names: list[str], variables: list[str]) -> Snapshot | None:
        """Return one, if it can be. Never raises for what goes wrong with it: that is logged,
        once."""
        client, began = self.client(), time.monotonic()
        given, begun = self.given(), client.begun  # a question may end meanwhile
        name = f"f{secrets.token_hex(4)}"  # kernels beside one another have one folder
        try:
            taken = await client.freeze(name)
            self._last = time.monotonic() - began
            self.seconds += self._last
            self.lost = taken.lost
            if taken.error is not None:
                self._give_up(taken.error)
            if taken.pid is None:
                return None
            self.taken += 1
            return Snapshot(
                cell=cell,
                name=name,
                pid=taken.pid,
                names=names,
                variables=variables,
                begun=begun,
                given=given,
            )
        except KernelDied as error:
            if client.kernel.alive:
                self._give_up(str(error))
            return None

    def _give_up(self, why: str) -> None:
        self.mode = "off"
        if not self._said:
            self._said = True
            log.warning("no snapshots of the kernel are taken any more: %s", why)

    async def _thin(self) -> None:
        """Let go of some of the older half, those with the nearest neighbours first, until what is
        left is within its bounds."""
        for snapshot in self.kept[-MEASURED:]:
            snapshot.private = await self._private(snapshot)
        most = MOST_BYTES_ON if self.mode == "on" else MOST_BYTES
        number = min(MOST, self.client().most_forks)
        while self.kept and (
            len(self.kept) > number or sum(each.private for each in self.kept) > most
        ):
            cells = [0, *(each.cell for each in self.kept)]
            older = range(1, max(len(self.kept) // 2, 1) + 1)
            crowded = min(older, key=lambda at: cells[min(at + 1, len(self.kept))] - cells[at - 1])
            await self._tell(self.kept.pop(crowded - 1), "end")

    async def _spare_newest(self) -> None:
        """Let the newest stay as long as the kernel does where memory is short: a cell that takes
        too much is to cost that cell. The others go before all else."""
        spared = self._spared
        self._spared = self.kept[-1] if self.kept else None
        if spared is not self._spared:
            orders = (spared, "go first"), (self._spared, "stay")
            await asyncio.gather(*(self._tell(*each) for each in orders))

    async def _tell(self, snapshot: Snapshot | None, what: str) -> None:
        """Tell one that may be gone something to which it has no answer."""
        with contextlib.suppress(OSError, ValueError):
            if snapshot is not None:
                await self.client().ask_fork(snapshot.name, what)

    async def _private(self, snapshot: Snapshot) -> int:
        try:
            told = await self.client().ask_fork(snapshot.name, "memory")
            return max(int(told["private"]), 0)
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # it is gone: who asks it to wake is told

    def at(self, cell: int) -> Snapshot | None:
        """Return that of the kernel as it was after a cell, if it is kept."""
        return next((each for each in self.kept if each.cell == cell), None)

    @property
    def newest_first(self) -> list[Snapshot]:
        """Return those of the kernel since it was given its context and its seed."""
        return [each for each in reversed(self.kept) if each.given == self.given()]

    async def drop_after(self, cell: int) -> None:
        """Let go of those of cells after this one, which are undone."""
        later = [each for each in self.kept if each.cell > cell]
        self.kept = [each for each in self.kept if each.cell <= cell]
        await asyncio.gather(*(self._tell(each, "end") for each in later))
        await self._spare_newest()

    def forget(self) -> None:
        """Forget all: they end with the kernel."""
        self.kept.clear()
        self._spared = None
        if self.task is not None:
            self.task.cancel()


def _log_fault(done: asyncio.Task[None]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("a fault of rlm_kernel lost a snapshot", exc_info=error)
