"""The few calls of the Docker engine's HTTP interface that a sandbox needs, in asyncio.

The Docker SDK blocks, and what a process writes at once can be lost in its buffers when it hands
out an exec's socket; aiohttp comes with the Modal SDK.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
VERSION = "/v1.41"


class EngineError(Exception):
    """The engine refused; ``status`` is the HTTP one."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Engine:
    """An engine that listens on a unix socket. To be made inside the loop that uses it."""

    def __init__(self) -> None:
        address = os.environ.get("DOCKER_HOST", DEFAULT_ADDRESS)
        if not address.startswith("unix://"):
            raise ValueError(f"DOCKER_HOST={address}: the plane needs an engine on a unix socket")
        self._path = address.removeprefix("unix://")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=self._path, limit=0),
            base_url="http://docker",
            timeout=aiohttp.ClientTimeout(total=60),
        )

    async def close(self) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """The answer's JSON, or None. Raises ``EngineError``."""
        async with self._session.request(method, VERSION + path, **kwargs) as answer:
            body = await answer.read()
        if answer.status >= 400:
            raise EngineError(answer.status, _message(body))
        return json.loads(body) if body and answer.content_type == "application/json" else None

    async def streams(
        self, path: str, body: dict[str, Any] | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection itself, once the engine has handed it over to a process's streams."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=1 << 20)
        payload = json.dumps(body).encode() if body is not None else b""
        head = (
            f"POST {VERSION}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
            "Upgrade: tcp\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n"
        )
        writer.write(head.encode() + payload)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(maxsplit=2)[1])
        if status != 101:
            text = await reader.read(1 << 16)
            writer.close()
            raise EngineError(status, _message(text))
        return reader, writer

    async def events(self, label: str) -> AsyncIterator[dict[str, Any]]:
        """What happens to containers with the label from now on, until it is cancelled."""
        filters = json.dumps({"label": [label], "event": ["die", "oom", "exec_die"]})
        async with self._session.get(
            f"{VERSION}/events",
            params={"filters": filters},
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            yield {}  # the engine listens
            async for line in answer.content:
                yield json.loads(line)


def _message(body: bytes) -> str:
    text = body.decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
