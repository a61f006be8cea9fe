"""Where the SDK puts files that are too large for a message: plain HTTP, as to an object store."""

from __future__ import annotations

import hashlib

from aiohttp import web

from .ports import Port
from .store import Store


class Uploads:
    """``PUT`` to the URL of a blob; the answer's ETag is the MD5 of what arrived."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._port = Port()
        self._runner: web.AppRunner | None = None

    def url(self, blob_id: str) -> str:
        return f"http://127.0.0.1:{self._port.number}/{blob_id}"

    async def open(self) -> None:
        if self._runner is not None:
            return
        app = web.Application()
        app.router.add_put("/{blob_id}", self._put)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.SockSite(self._runner, self._port.bound()).start()

    async def _put(self, request: web.Request) -> web.Response:
        content = await request.content.read()
        self._store.blobs[request.match_info["blob_id"]] = content
        tag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return web.Response(headers={"ETag": f'"{tag}"'})

    async def close(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def end(self) -> None:
        await self.close()
        self._port.release()
