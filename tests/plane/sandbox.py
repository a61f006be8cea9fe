"""A sandbox from its creation to its end, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from modal_proto import api_pb2

from .rpc import Listener, web_token
from .spec import OUT_OF_MEMORY, Command, Place, Spec
from .stdio import Exec
from .tunnels import Tunnel

Result = api_pb2.GenericResult
KILLED = 137
IDLE_LOOK_S = 0.05


class Sandbox:
    """``result`` is set at the moment that it ends, before its processes do."""

    def __init__(
        self, spec: Spec, request: api_pb2.SandboxCreateV2Request, task_id: str, place: Place
    ) -> None:
        self.id = spec.sandbox_id
        self.spec = spec
        self.app_id = request.app_id
        self.definition = request.definition
        self.tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        self.created_at = time.time()
        self.task_id = task_id
        self.token = web_token(task_id)
        self.place = place
        self.router: Listener | None = None
        self.tunnels: list[Tunnel] = []
        self.execs: dict[str, asyncio.Task[Exec]] = {}
        self.result: Result | None = None
        self.ended = asyncio.Event()
        self.main: Exec | None = None
        self._used_at = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises ``CannotStart``."""
        self.main = await self.place.start(self.spec)
        self._tasks.append(asyncio.create_task(self._until_the_main_process_ends(self.main)))
        if self.definition.timeout_secs:
            self._tasks.append(asyncio.create_task(self._until_its_time_is_over()))
        if self.definition.idle_timeout_secs:
            self._tasks.append(asyncio.create_task(self._until_it_is_idle()))

    def exec(self, exec_id: str, command: Command, timeout_s: int | None) -> asyncio.Task[Exec]:
        """The exec of that id, begun now if there is none: a request may be repeated."""
        if exec_id not in self.execs:
            self.execs[exec_id] = asyncio.create_task(self._start_exec(command, timeout_s))
        return self.execs[exec_id]

    async def _start_exec(self, command: Command, timeout_s: int | None) -> Exec:
        run = await self.place.exec(command)
        run.exited.add_done_callback(lambda _: self.touch())
        if self.result is not None:
            run.lose()
        if timeout_s:
            asyncio.get_running_loop().call_later(timeout_s, _stop, run)
        return run

    def touch(self) -> None:
        """It is in use now."""
        self._used_at = time.monotonic()

    async def _until_the_main_process_ends(self, main: Exec) -> None:
        status = await asyncio.shield(main.exited)
        if status == OUT_OF_MEMORY:
            self.finish(Result(status=Result.GENERIC_STATUS_KERNEL_OOM_KILL, exitcode=KILLED))
        elif status == 0:
            self.finish(Result(status=Result.GENERIC_STATUS_SUCCESS))
        else:
            code = status if status > 0 else 128 - status
            self.finish(Result(status=Result.GENERIC_STATUS_FAILURE, exitcode=code))

    async def _until_its_time_is_over(self) -> None:
        await asyncio.sleep(self.definition.timeout_secs)
        self.expire()

    async def _until_it_is_idle(self) -> None:
        """In use is one with an exec that runs, a connection through a tunnel or fresh input."""
        while time.monotonic() - self._used_at < self.definition.idle_timeout_secs:
            if self._busy():
                self.touch()
            await asyncio.sleep(IDLE_LOOK_S)
        self.finish(Result(status=Result.GENERIC_STATUS_IDLE_TIMEOUT, exitcode=KILLED))

    def _busy(self) -> bool:
        running = any(not each.done() or _runs(each) for each in self.execs.values())
        return running or any(tunnel.busy for tunnel in self.tunnels)

    def expire(self) -> None:
        self.finish(Result(status=Result.GENERIC_STATUS_TIMEOUT, exitcode=KILLED))

    def terminate(self) -> None:
        self.finish(Result(status=Result.GENERIC_STATUS_TERMINATED, exitcode=KILLED))

    def preempt(self) -> None:
        status, why = Result.GENERIC_STATUS_FAILURE, "the worker was preempted"
        self.finish(Result(status=status, exitcode=KILLED, exception=why))

    def finish(self, result: Result) -> None:
        """End it with this result, unless it has one. Does not wait; see ``ended``."""
        if self.result is None:
            self.result = result
            self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for run in [each.result() for each in self.execs.values() if _started(each)]:
            run.lose()
            _stop(run)
        self.execs.clear()
        if self.main is not None:
            self.main.over()
            _stop(self.main)
        try:
            await self.place.kill()
            for tunnel in self.tunnels:
                await tunnel.end()
        finally:
            self.ended.set()
        await self.place.remove()

    async def removed(self) -> None:
        """Return when nothing is left of it; it must have a result."""
        assert self._ending is not None
        await self._ending

    def access(self) -> api_pb2.CommandRouterAccess:
        assert self.router is not None
        return api_pb2.CommandRouterAccess(url=self.router.url, jwt=self.token)

    def has_tags(self, tags: Mapping[str, str]) -> bool:
        return tags.items() <= self.tags.items()


def _stop(run: Exec) -> None:
    if not run.exited.done():
        run.kill()


def _started(task: asyncio.Task[Exec]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _runs(task: asyncio.Task[Exec]) -> bool:
    return _started(task) and not task.result().exited.done()
