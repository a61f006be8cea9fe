"""The backend of containers, one for each sandbox, on a Docker engine of this machine.

To be used as root: a tunnel enters the container's network, and an exec whose time is over is
killed by its process id.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import tarfile
from collections.abc import Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any

from .engine import Engine, EngineError
from .namespaces import connect_inside
from .reaper import LABEL
from .spec import OUT_OF_MEMORY, STAND_STILL, CannotStart, Command, MountedFile, Spec
from .stdio import CHUNK, Exec, Input, Output


class Fleet:
    """The engine, and who waits for the end of which container or exec."""

    def __init__(self, plane_id: str, image: str) -> None:
        self.engine = Engine()
        self.image = image
        self.label = {LABEL: plane_id}
        self._ends: dict[str, asyncio.Future[int]] = {}
        self._starved: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        listening = asyncio.Event()
        self._task = asyncio.create_task(self._listen(listening))
        await asyncio.wait_for(listening.wait(), 30)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.engine.close()

    def end_of(self, name: str) -> asyncio.Future[int]:
        """The status to come of a container or an exec, by the engine's id for it. To be asked for
        before it starts."""
        self._ends[name] = asyncio.get_running_loop().create_future()
        return self._ends[name]

    async def _listen(self, listening: asyncio.Event) -> None:
        [label] = (f"{name}={value}" for name, value in self.label.items())
        async with aclosing(self.engine.events(label)) as events:
            async for event in events:
                listening.set()
                if event:
                    self._hear(event)

    def _hear(self, event: dict[str, Any]) -> None:
        attributes = event["Actor"]["Attributes"]
        container, action = event["Actor"]["ID"], event["Action"]
        if action == "oom":
            self._starved.add(container)
            return
        status = int(attributes["exitCode"])
        if action == "die" and container in self._starved and status == 137:
            status = OUT_OF_MEMORY
        self.ended(container if action == "die" else attributes["execID"], status)

    def ended(self, name: str, status: int) -> None:
        """A second report of the same end counts for nothing."""
        end = self._ends.pop(name, None)
        if end is not None and not end.done():
            end.set_result(status)


class ContainerPlace:
    """A container, as root, with the image of the fleet and no file of this machine."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._engine = fleet.engine
        self._id = ""
        self._pid = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, spec: Spec) -> Exec:
        try:
            made = await self._engine.call(
                "POST", f"/containers/create?name={spec.sandbox_id}", json=self._config(spec)
            )
            self._id = made["Id"]
            if spec.files:
                packed = await asyncio.to_thread(_packed, spec.files)
                where = f"/containers/{self._id}/archive"
                await self._engine.call("PUT", where, params={"path": "/"}, data=packed)
            streams = await self._engine.streams(
                f"/containers/{self._id}/attach?stream=1&stdin=1&stdout=1&stderr=1"
            )
            exited = self._fleet.end_of(self._id)
            run = _exec(streams[1], exited, Command(spec.argv, {}, None))
            self._spawn(_pump(*streams, run))
            await self._engine.call("POST", f"/containers/{self._id}/start")
        except EngineError as error:
            raise CannotStart(str(error)) from error
        return run

    def _config(self, spec: Spec) -> dict[str, Any]:
        memory = spec.memory_mb * 1024 * 1024
        return {
            "Image": self._fleet.image,
            "Labels": self._fleet.label,
            "User": "0",
            "Hostname": "modal",
            "Entrypoint": [],
            "Cmd": list(spec.argv or STAND_STILL),
            "Env": [f"{name}={value}" for name, value in spec.env.items()],
            "WorkingDir": spec.workdir or "",
            "OpenStdin": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "HostConfig": {
                "Init": True,
                "NetworkMode": "bridge" if spec.network else "none",
                "Memory": memory,
                "MemorySwap": memory,  # the sum of both, so no swap
                "NanoCpus": spec.milli_cpu * 1_000_000,
                "LogConfig": {"Type": "none"},
            },
        }

    async def exec(self, command: Command) -> Exec:
        body = {
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Cmd": list(command.argv),
            "Env": [f"{name}={value}" for name, value in command.env.items()],
            "WorkingDir": command.workdir or "",
        }
        try:
            made = await self._engine.call("POST", f"/containers/{self._id}/exec", json=body)
            name = made["Id"]
            exited = self._fleet.end_of(name)
            streams = await self._engine.streams(f"/exec/{name}/start", {"Detach": False})
        except EngineError as error:
            raise CannotStart(str(error)) from error
        run = _exec(streams[1], exited, command)
        run.kill = lambda: self._spawn(self._kill_exec(name))
        self._spawn(self._follow(name, *streams, run))
        return run

    async def _follow(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: Exec
    ) -> None:
        await _pump(reader, writer, run)
        with suppress(EngineError):  # the container is gone
            state = await self._engine.call("GET", f"/exec/{name}/json")
            if not state["Running"]:  # no event tells of one that could not start
                self._fleet.ended(name, state["ExitCode"])

    async def _kill_exec(self, name: str) -> None:
        """The engine has no call for it; the process id is this machine's."""
        with suppress(EngineError, ProcessLookupError):
            state = await self._engine.call("GET", f"/exec/{name}/json")
            if state["Running"] and state["Pid"]:
                os.kill(state["Pid"], signal.SIGKILL)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def connect(self, port: int) -> socket.socket:
        if not self._pid:
            state = await self._engine.call("GET", f"/containers/{self._id}/json")
            self._pid = state["State"]["Pid"]
        return await connect_inside(self._pid, port)

    async def kill(self) -> None:
        await self._end("POST", f"/containers/{self._id}/kill")

    async def remove(self) -> None:
        await self._end("DELETE", f"/containers/{self._id}?force=1&v=1")
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _end(self, method: str, path: str) -> None:
        if not self._id:
            return
        try:
            await self._engine.call(method, path)
        except EngineError as error:
            if error.status not in (404, 409):  # gone, or not running any more
                raise


def _exec(writer: asyncio.StreamWriter, exited: asyncio.Future[int], command: Command) -> Exec:
    stdin = Input(writer, writer.write_eof)
    return Exec(stdin, Output(command.keep_stdout), Output(command.keep_stderr), exited)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: Exec) -> None:
    """Take apart the engine's frames: a byte for the stream, three of nothing, four of length.

    There is one connection for both streams, so a reader too far behind on one holds up the other.
    """
    outputs = {1: run.stdout, 2: run.stderr}
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(8)
            left = int.from_bytes(head[4:], "big")
            while left:
                data = await reader.read(min(left, CHUNK))
                if not data:
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(data)
                await outputs[head[0]].put(data)
    run.stdout.close()
    run.stderr.close()
    writer.close()


def _packed(files: Sequence[MountedFile]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path.lstrip("/"))
            entry.size, entry.mode = len(file.content), file.mode or 0o644
            tar.addfile(entry, io.BytesIO(file.content))
    packed.seek(0)
    return packed
