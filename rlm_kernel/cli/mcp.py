"""``rlm mcp``: a server of the Model Context Protocol, for other agents."""

from __future__ import annotations

import argparse
import secrets
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..inputs.tools import Tools
from ..mcp.roots import Roots
from ..mcp.service import Service
from ..record.recorder import RUNS
from ..session.event_loop import engine
from ..session.session import Session
from ..settings.limits import Budget
from .batch import number
from .settle import settle
from .statuses import ANSWERED

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def work(options: argparse.Namespace) -> int:
    """Serve until the caller hangs up or the command is interrupted; return the exit status."""
    made = _server()
    force = settle(options)
    budget = Budget(
        number(float, options.total_cost, "--total-cost"),
        tokens=number(int, options.total_tokens, "--total-tokens"),
    )
    folder = Path.cwd()
    service = Service(
        Session(force, Tools(), cwd=folder, budget=budget),
        Roots(_folders(options.root)),
        folder / RUNS,
        at_once=number(int, options.concurrency, "--concurrency"),
    )
    port = number(int, options.http, "--http")
    engine().run(_serve(made(service), service, port))
    return ANSWERED


def _server() -> Any:
    try:
        from ..mcp.server import made
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise UsageError('the package mcp is not here: pip install "rlm_kernel[mcp]"') from None
    return made


def _folders(given: list[Path] | None) -> list[Path]:
    folders = given or [Path.cwd()]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--root {folder}: there is no such folder")
    return folders


async def _serve(server: MCPServer[Any], service: Service, port: int | None) -> None:
    try:
        await (server.run_stdio_async() if port is None else _serve_http(server, port))
    finally:
        await service.close()


async def _serve_http(server: MCPServer[Any], port: int) -> None:
    import uvicorn  # comes with mcp

    # Others on this machine could spend the user's money: they do not know the path.
    path = f"/{secrets.token_urlsafe(24)}/mcp"
    app = server.streamable_http_app(host="127.0.0.1", streamable_http_path=path)
    try:
        with socket.create_server(("127.0.0.1", port)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}{path}"
            print(url, file=sys.stderr, flush=True)
            config = uvicorn.Config(app, log_level="warning")
            await uvicorn.Server(config).serve(sockets=[listening])
    except OSError as error:
        raise UsageError(f"--http {port}: {error.strerror}") from error
