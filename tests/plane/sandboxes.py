"""The control plane's calls about sandboxes, in the SDK's first and second version of each."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from modal_proto import api_pb2

from .rpc import IDEMPOTENCY_KEY
from .sandbox import Sandbox
from .servicer import SUCCESS
from .spec import CannotStart
from .stdio import Output

LONGEST_WAIT_S = 60.0
Make = Callable[[Any, bool], Awaitable[Sandbox]]


class Sandboxes:
    """Its methods are named as the calls are. ``make`` starts the sandbox of a request."""

    def __init__(self, make: Make) -> None:
        self.all: dict[str, Sandbox] = {}
        self._make = make
        self._creating: dict[str, asyncio.Task[Sandbox]] = {}
        self._inputs: dict[str, int] = {}

    def get(self, sandbox_id: str) -> Sandbox:
        if sandbox_id not in self.all:
            raise GRPCError(Status.NOT_FOUND, f"Sandbox {sandbox_id} not found")
        return self.all[sandbox_id]

    async def SandboxCreate(self, request: Any) -> Any:
        sandbox = await self._created(request, False)
        return api_pb2.SandboxCreateResponse(sandbox_id=sandbox.id, metadata=_metadata(sandbox))

    async def SandboxCreateV2(self, request: Any) -> Any:
        sandbox = await self._created(request, True)
        return api_pb2.SandboxCreateV2Response(
            sandbox_id=sandbox.id,
            task_id=sandbox.task_id,
            metadata=_metadata(sandbox),
            command_router_access=sandbox.access(),
            tunnels=[tunnel.data() for tunnel in sandbox.tunnels],
        )

    async def _created(self, request: Any, second: bool) -> Sandbox:
        """The same one for a request that is sent again because its answer was lost."""
        key = IDEMPOTENCY_KEY.get()
        if not key or key not in self._creating:
            self._creating[key] = asyncio.create_task(self._create(request, second))
        return await asyncio.shield(self._creating[key])

    async def _create(self, request: Any, second: bool) -> Sandbox:
        name = request.definition.name
        if name and any(each.definition.name == name for each in self.running()):
            raise GRPCError(Status.ALREADY_EXISTS, f"Sandbox with name '{name}' already exists")
        try:
            sandbox = await self._make(request, second)
        except CannotStart as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error
        self.all[sandbox.id] = sandbox
        return sandbox

    async def settled(self) -> None:
        """Return when none is being made."""
        if self._creating:
            await asyncio.wait(self._creating.values())

    def running(self) -> list[Sandbox]:
        return [each for each in self.all.values() if each.result is None]

    async def SandboxList(self, request: Any) -> Any:
        """The latest first."""
        tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        found = [
            each
            for each in self.all.values()
            if (request.include_finished or each.result is None)
            and request.app_id in ("", each.app_id)
            and (not request.before_timestamp or each.created_at < request.before_timestamp)
            and each.has_tags(tags)
        ]
        found.sort(key=lambda each: each.created_at, reverse=True)
        return api_pb2.SandboxListResponse(sandboxes=[_info(each) for each in found])

    SandboxListV2 = SandboxList

    async def SandboxGetFromName(self, request: Any) -> Any:
        for each in self.running():
            if each.definition.name == request.sandbox_name:
                return api_pb2.SandboxGetFromNameResponse(
                    sandbox_id=each.id, metadata=_metadata(each)
                )
        raise GRPCError(Status.NOT_FOUND, f"Sandbox '{request.sandbox_name}' not found")

    SandboxGetFromNameV2 = SandboxGetFromName

    async def SandboxTagsGet(self, request: Any) -> Any:
        tags = self.get(request.sandbox_id).tags
        return api_pb2.SandboxTagsGetResponse(tags=_tags(tags))

    SandboxTagsGetV2 = SandboxTagsGet

    async def SandboxTagsSet(self, request: Any) -> Any:
        sandbox = self.get(request.sandbox_id)
        sandbox.tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        return Empty()

    SandboxTagsSetV2 = SandboxTagsSet

    async def SandboxGetTaskId(self, request: Any) -> Any:
        """There is a result too once it has ended; a task it had in any case."""
        sandbox = self.get(request.sandbox_id)
        task_id, result = sandbox.task_id, sandbox.result
        return api_pb2.SandboxGetTaskIdResponse(task_id=task_id, task_result=result)

    SandboxGetTaskIdV2 = SandboxGetTaskId

    async def SandboxWait(self, request: Any) -> Any:
        sandbox = self.get(request.sandbox_id)
        if request.timeout and sandbox.result is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(request.timeout, LONGEST_WAIT_S)):
                    await sandbox.ended.wait()
        return api_pb2.SandboxWaitResponse(result=sandbox.result, metadata=_metadata(sandbox))

    SandboxWaitV2 = SandboxWait

    async def SandboxTerminate(self, request: Any) -> Any:
        sandbox = self.get(request.sandbox_id)
        earlier = sandbox.result
        sandbox.terminate()
        await sandbox.ended.wait()
        return api_pb2.SandboxTerminateResponse(existing_result=earlier)

    SandboxTerminateV2 = SandboxTerminate

    async def SandboxGetTunnels(self, request: Any) -> Any:
        sandbox = self._running(request.sandbox_id)
        tunnels = [tunnel.data() for tunnel in sandbox.tunnels]
        return api_pb2.SandboxGetTunnelsResponse(result=SUCCESS, tunnels=tunnels)

    SandboxGetTunnelsV2 = SandboxGetTunnels

    async def SandboxGetCommandRouterAccess(self, request: Any) -> Any:
        sandbox_id = request.sandbox_id or self._of_task(request.task_id).id
        access = self._running(sandbox_id).access()
        return api_pb2.SandboxGetCommandRouterAccessResponse(url=access.url, jwt=access.jwt)

    async def TaskGetCommandRouterAccess(self, request: Any) -> Any:
        access = self._running(self._of_task(request.task_id).id).access()
        return api_pb2.TaskGetCommandRouterAccessResponse(url=access.url, jwt=access.jwt)

    def _of_task(self, task_id: str) -> Sandbox:
        for each in self.all.values():
            if each.task_id == task_id:
                return each
        raise GRPCError(Status.NOT_FOUND, f"Task {task_id} not found")

    def _running(self, sandbox_id: str) -> Sandbox:
        """The SDK takes a failed precondition here for an ended sandbox."""
        sandbox = self.get(sandbox_id)
        if sandbox.result is not None:
            raise GRPCError(Status.FAILED_PRECONDITION, f"Sandbox {sandbox_id} has finished")
        return sandbox

    async def SandboxStdinWrite(self, request: Any) -> Any:
        """By number, from 1 on: one that came already is not written again."""
        sandbox = self._running(request.sandbox_id)
        main = sandbox.main
        assert main is not None
        sandbox.touch()
        if request.index > self._inputs.get(request.sandbox_id, 0):
            self._inputs[request.sandbox_id] = request.index
            await main.stdin.write(main.stdin.written, request.input, request.eof)
        return api_pb2.SandboxStdinWriteResponse()

    async def SandboxGetLogs(self, request: Any) -> AsyncIterator[Any]:
        """Entries are numbered by the bytes up to their end."""
        main = self.get(request.sandbox_id).main
        assert main is not None
        of_stdout = request.file_descriptor == api_pb2.FILE_DESCRIPTOR_STDOUT
        output: Output = main.stdout if of_stdout else main.stderr
        offset = int(request.last_entry_id or "0")
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        async for data, _ in output.read(offset):
            offset += len(data)
            log = api_pb2.TaskLogs(
                data=decoder.decode(data), file_descriptor=request.file_descriptor
            )
            yield api_pb2.TaskLogsBatch(items=[log], entry_id=str(offset))
        yield api_pb2.TaskLogsBatch(entry_id=str(offset), eof=True)


def _metadata(sandbox: Sandbox) -> Any:
    return api_pb2.SandboxHandleMetadata(app_id=sandbox.app_id, result=sandbox.result)


def _tags(tags: dict[str, str]) -> list[Any]:
    return [api_pb2.SandboxTag(tag_name=name, tag_value=value) for name, value in tags.items()]


def _info(sandbox: Sandbox) -> Any:
    return api_pb2.SandboxInfo(
        id=sandbox.id,
        created_at=sandbox.created_at,
        app_id=sandbox.app_id,
        tags=_tags(sandbox.tags),
        name=sandbox.definition.name,
        metadata=_metadata(sandbox),
        task_info=api_pb2.TaskInfo(id=sandbox.task_id, result=sandbox.result),
    )
