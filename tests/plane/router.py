"""The task command router of one sandbox: processes, and their streams by offset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpclib.events
from grpclib import GRPCError, Status
from modal_proto import task_command_router_pb2 as pb

from .faults import Faults
from .latency import Delays
from .rpc import takes_stream
from .sandbox import Sandbox
from .spec import CannotStart, Command
from .stdio import Dropped, Exec, Gone, Output

Environ = Callable[[Any], Mapping[str, str]]
"""From a request to the variables of the secrets that it names."""


class Router:
    """Its methods are named as the calls are. Once the sandbox has ended, all but its own output
    is NOT_FOUND."""

    def __init__(self, sandbox: Sandbox, delays: Delays, environ: Environ) -> None:
        self._sandbox = sandbox
        self._delays = delays
        self._environ = environ

    async def TaskExecStart(self, request: Any) -> Any:
        self._alive(request.task_id)
        if request.HasField("pty_info"):
            raise GRPCError(Status.UNIMPLEMENTED, "this test plane has no terminals")
        command = Command(
            tuple(request.command_args),
            {**self._environ(request), **request.env},
            request.workdir if request.HasField("workdir") else None,
            request.stdout_config != pb.TASK_EXEC_STDOUT_CONFIG_DEVNULL,
            request.stderr_config != pb.TASK_EXEC_STDERR_CONFIG_DEVNULL,
        )
        timeout_s = request.timeout_secs if request.HasField("timeout_secs") else None
        self._sandbox.exec(request.exec_id, command, timeout_s)
        await self._exec(request)
        return pb.TaskExecStartResponse()

    async def TaskExecStdioRead(self, request: Any) -> AsyncIterator[Any]:
        run = await self._exec(request)
        of_stdout = request.file_descriptor == pb.TASK_EXEC_STDIO_FILE_DESCRIPTOR_STDOUT
        output = run.stdout if of_stdout else run.stderr
        async for data, _ in self._read(output, request.offset):
            yield pb.TaskExecStdioReadResponse(data=data)

    async def SandboxStdioReadV2(self, request: Any) -> AsyncIterator[Any]:
        main = self._sandbox.main
        assert main is not None
        of_stdout = request.file_descriptor == pb.SANDBOX_STDIO_FILE_DESCRIPTOR_STDOUT
        output = main.stdout if of_stdout else main.stderr
        async for data, offset in self._read(output, request.offset):
            yield pb.SandboxStdioReadV2Response(data=data, starting_offset=offset)

    async def _read(self, output: Output, offset: int) -> AsyncIterator[tuple[bytes, int]]:
        try:
            async for data, waited in output.read(offset):
                if waited:
                    await self._delays.wait("stdio")
                yield data, offset
                offset += len(data)
        except Dropped as error:
            raise GRPCError(Status.OUT_OF_RANGE, str(error)) from error
        except Gone:
            raise self._not_found() from None

    async def TaskExecStdinWrite(self, request: Any) -> Any:
        run = await self._exec(request)
        await self._write(run, request.offset, request.data, request.eof)
        return pb.TaskExecStdinWriteResponse()

    async def SandboxStdinWriteV2(self, request: Any) -> Any:
        self._alive(request.task_id)
        assert self._sandbox.main is not None
        self._sandbox.touch()
        await self._write(self._sandbox.main, request.offset, request.data, request.eof)
        return pb.SandboxStdinWriteV2Response()

    @takes_stream
    async def TaskExecStdinWriteStream(self, stream: Any) -> Any:
        start = (await stream.recv_message()).start
        run, offset = await self._exec(start), start.offset
        async for message in stream:
            end = message.WhichOneof("payload") == "end"
            await self._write(run, offset, message.data, end)
            offset += len(message.data)
        return pb.TaskExecStdinWriteStreamResponse()

    async def _write(self, run: Exec, offset: int, data: bytes, eof: bool) -> None:
        try:
            await run.stdin.write(offset, data, eof)
        except Dropped as error:
            raise GRPCError(Status.OUT_OF_RANGE, str(error)) from error
        except ConnectionError as error:
            raise GRPCError(Status.FAILED_PRECONDITION, f"stdin takes no more: {error}") from error

    async def TaskExecStdinStatus(self, request: Any) -> Any:
        stdin = (await self._exec(request)).stdin
        return pb.TaskExecStdinStatusResponse(num_bytes_written=stdin.written, closed=stdin.closed)

    async def TaskExecPoll(self, request: Any) -> Any:
        run = await self._exec(request)
        if not run.exited.done():
            return pb.TaskExecPollResponse()
        return _status(pb.TaskExecPollResponse, run.exited.result())

    async def TaskExecWait(self, request: Any) -> Any:
        run = await self._exec(request)
        ended = asyncio.create_task(self._sandbox.ended.wait())
        try:
            await asyncio.wait({run.exited, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended.cancel()
        self._alive(request.task_id)
        return _status(pb.TaskExecWaitResponse, run.exited.result())

    async def SandboxWaitUntilReady(self, request: Any) -> Any:
        self._alive(request.task_id)
        return pb.SandboxWaitUntilReadyTcrResponse(ready_at=self._sandbox.created_at)

    def _alive(self, task_id: str) -> None:
        if self._sandbox.result is not None or task_id != self._sandbox.task_id:
            raise self._not_found()

    def _not_found(self) -> GRPCError:
        return GRPCError(Status.NOT_FOUND, f"Task {self._sandbox.task_id} has ended or never was")

    async def _exec(self, request: Any) -> Exec:
        self._alive(request.task_id)
        if request.exec_id not in self._sandbox.execs:
            raise GRPCError(Status.NOT_FOUND, f"Exec {request.exec_id} was not started")
        try:
            # Shielded: the caller may go, and ask for it once more.
            return await asyncio.shield(self._sandbox.execs[request.exec_id])
        except CannotStart as error:
            raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error


def _status(kind: Any, status: int) -> Any:
    return kind(code=status) if status >= 0 else kind(signal=-status)


class Guard:
    """Lets in who has a sandbox's token, then whatever faults are to come."""

    def __init__(self, token: str, faults: Faults) -> None:
        self._expected = f"Bearer {token}"
        self._faults = faults

    async def check(self, event: grpclib.events.RecvRequest) -> None:
        if event.metadata.get("authorization") != self._expected:
            raise GRPCError(Status.UNAUTHENTICATED, "the token is not of this sandbox")
        await self._faults.meet(event)
