"""The backend without an engine: a sandbox is a process with a folder of its own.

It isolates nothing. Its processes run as this user, see all files and processes of the machine and
its network, and have no limit of memory or processor time; two of them cannot listen on the same
port. What it does keep apart: the environment holds PATH (this Python first), HOME (the folder) and
what the caller gave; paths of the sandbox's definition (mounts, working folders) lie under the
folder, and an argument that names a mounted file, or a folder of such, is given as the place where
it lies.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from .ports import tcp_socket
from .reaper import kill_all_with
from .spec import STAND_STILL, CannotStart, Command, Spec
from .stdio import CHUNK, Exec, Input, Output


class ProcessPlace:
    """A folder, and the processes whose environment names it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env: dict[str, str] = {}
        self._workdir: str | None = None
        self._mounted: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, spec: Spec) -> Exec:
        self._folder.mkdir(parents=True)
        programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._env = {"PATH": programs, "HOME": str(self._folder), **spec.env}
        self._workdir = spec.workdir
        for file in spec.files:
            path = self._inside(file.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(file.mode or 0o644)
            self._mounted |= {file.path, *map(str, Path(file.path).parents)} - {"/"}
        return await self.exec(Command(spec.argv or STAND_STILL, {}, None))

    async def exec(self, command: Command) -> Exec:
        workdir = self._inside(command.workdir or self._workdir or "/")
        workdir.mkdir(parents=True, exist_ok=True)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._arguments(command.argv),
                cwd=workdir,
                env={**self._env, **command.env},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise CannotStart(f"{command.argv[0]}: {error.strerror}") from error
        return self._followed(process, command)

    def _followed(self, process: asyncio.subprocess.Process, command: Command) -> Exec:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        stdin = Input(process.stdin, process.stdin.close)
        exited = asyncio.get_running_loop().create_future()
        run = Exec(stdin, Output(command.keep_stdout), Output(command.keep_stderr), exited)
        run.kill = lambda: _kill_group(process.pid)
        self._spawn(_pump(process.stdout, run.stdout))
        self._spawn(_pump(process.stderr, run.stderr))
        self._spawn(_wait(process, run))
        return run

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _inside(self, path: str) -> Path:
        return self._folder / path.lstrip("/")

    def _arguments(self, argv: Sequence[str]) -> list[str]:
        return [str(self._inside(each)) if each in self._mounted else each for each in argv]

    async def connect(self, port: int) -> socket.socket:
        made = tcp_socket()
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        except OSError:
            made.close()
            raise
        return made

    async def kill(self) -> None:
        await asyncio.to_thread(kill_all_with, self._folder)

    async def remove(self) -> None:
        await self.kill()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


async def _pump(reader: asyncio.StreamReader, output: Output) -> None:
    while data := await reader.read(CHUNK):
        await output.put(data)
    output.close()


async def _wait(process: asyncio.subprocess.Process, run: Exec) -> None:
    run.exited.set_result(await process.wait())


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
