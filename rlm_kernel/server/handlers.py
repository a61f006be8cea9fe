"""What a page can ask: the runs of a folder, how far one is, where its answer came from, its page.

All of it is for whoever may read files by this server, and of files in its folder alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from ..record.files import JOURNAL
from .commands import CommandFailed, export, why
from .folder import MOST_ROWS, Outside, Runs, as_json, inside, is_run
from .progress import Followed

MOST_WAITING = 32
"""Requests that wait for others of their kind to be answered; more are sent away."""
T = TypeVar("T")


class Queue:
    """Lets one at a time work. Raises ``web.HTTPError`` where too many wait."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._waiting = 0

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the work gives, once it is its turn."""
        if self._waiting >= MOST_WAITING:
            raise web.HTTPError(503, "too many questions at once")
        self._waiting += 1
        try:
            async with self._one:
                return await work()
        finally:
            self._waiting -= 1


class Desk:
    """Holds what all requests share: the records that were read, and two queues."""

    def __init__(self) -> None:
        self.runs = Runs()
        self.followed = Followed()
        self._reading = Queue()
        self._commands = Queue()

    async def read(self, work: Callable[[], T]) -> T:
        """Return what the work gives, which is done in a thread."""
        return await self._reading.do(lambda: asyncio.to_thread(work))

    async def command(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the command gives."""
        try:
            return await self._commands.do(work)
        except CommandFailed as error:
            raise web.HTTPError(422, str(error)) from error


class _Handler(APIHandler):
    auth_resource = "contents"
    _track_activity = False  # a panel that looks on must not keep an idle server alive

    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    @property
    def root(self) -> Path:
        root = getattr(self.contents_manager, "root_dir", None)
        if not isinstance(root, str):
            raise web.HTTPError(404, "this server's notebooks are no files")
        return Path(root).resolve()

    def folder(self) -> Path:
        """Return the folder that is asked for."""
        path = self.get_query_argument("path", "")
        try:
            found = inside(self.root, path)
        except Outside as error:
            raise web.HTTPError(404, str(error)) from error
        hidden = any(part.startswith(".") for part in found.relative_to(self.root).parts)
        if hidden and not self.contents_manager.allow_hidden:
            raise web.HTTPError(404, f"{path!r} is hidden")
        if not found.is_dir():
            raise web.HTTPError(404, f"there is no folder {path!r}")
        return found

    def run(self) -> Path:
        """Return the folder of the run that is asked for."""
        found = self.folder()
        if not is_run(found):
            raise web.HTTPError(404, f"{found.name!r} is no run: it has no {JOURNAL}")
        return found


class RunsHandler(_Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return the rows of a folder's runs, ``count`` of them."""
        folder, root = self.folder(), self.root
        try:
            count = min(MOST_ROWS, max(1, int(self.get_query_argument("count", "50"))))
        except ValueError as error:
            raise web.HTTPError(400, "count: give a number") from error

        def told() -> dict[str, Any]:
            found = self.desk.runs.find(folder)
            rows = [as_json(row, root) for row in self.desk.runs.rows(found[:count])]
            return {"runs": rows, "total": len(found), "most": MOST_ROWS}

        self.finish(json.dumps(await self.desk.read(told)))


class RunHandler(_Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return how far a run is, with its nodes."""
        run = self.run()
        self.finish(json.dumps(await self.desk.read(lambda: self.desk.followed.look(run))))


class WhyHandler(_Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return where the answer of a run came from, as text."""
        run = self.run()
        text = await self.desk.command(lambda: why(run))
        self.finish(json.dumps({"text": text}))


class ExportHandler(_Handler):
    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Return a run as one page, to be kept as a file."""
        run = self.run()
        page = await self.desk.command(lambda: export(run))
        name = re.sub(r"[^A-Za-z0-9_-]", "_", run.name)
        self.set_header("Content-Disposition", f'attachment; filename="{name}.html"')
        self.finish(page, set_content_type="text/html; charset=utf-8")


def routes(base_url: str) -> list[tuple[str, type[_Handler], dict[str, Desk]]]:
    """Return what a server is to answer below ``/rlm``."""
    desk = {"desk": Desk()}
    handlers: dict[str, type[_Handler]] = {
        "runs": RunsHandler,
        "run": RunHandler,
        "why": WhyHandler,
        "export": ExportHandler,
    }
    return [(url_path_join(base_url, "rlm", name), made, desk) for name, made in handlers.items()]
