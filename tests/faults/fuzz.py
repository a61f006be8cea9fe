"""Odd messages and requests against a live kernel, in both faces: none may freeze it.

``run`` is the face of ``rlm run`` and the Python API: a cell of an LM sends the messages, and the
requests go to the inner kernel. ``notebook`` is the kernel RLM: a human's cell sends the messages,
and a front end the requests. After each one a cell must give its right result in the same kernel.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import nbformat

from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.repl.guest_client import KernelSetup
from rlm_kernel.repl.repl import Repl, open_repl
from rlm_kernel.settings.limits import CellLimits
from tests.nobody import Nobody

from . import sending
from .odd import ASKED, MESSAGES, Odd, made

SECONDS = 5.0
"""How long a cell may take before it counts as frozen."""
REQUEST_SECONDS = 60.0
"""How long a request may take: the first completion loads much."""
_SEND = inspect.getsource(sending.send)


def cell(odd: Odd) -> str:
    """The cell that sends the message and goes on."""
    content, metadata = odd.json()
    head = f'{{"msg_type": "{odd.kind}"}}'
    return f"{_SEND}\nsend({odd.channel!r}, {head!r}, {content!r}, {metadata!r})\nprint('after')"


def spot(environment: str, cwd: Path) -> KernelConfig:
    if environment == "local":
        return KernelConfig(cwd)
    from tests.modals import image  # it builds one

    return KernelConfig(cwd, environment, sandbox={"image": image(), "cpus": 2.0})


# the face of rlm run
@asynccontextmanager
async def opened(environment: str, cwd: Path) -> AsyncIterator[Repl]:
    held = CellLimits(seconds=SECONDS)
    async with open_repl(Nobody(), KernelSetup(spot(environment, cwd)), held) as repl:
        await repl.run("kept = 40", cell=0)
        yield repl


async def sent_by_lm(repl: Repl, odd: Odd) -> str:
    """What went wrong; empty, one hopes."""
    ran = await repl.run(cell(odd), cell=1)
    if ran.restarted is not None:
        await repl.run("kept = 40", cell=1)
        return f"the kernel was lost: {ran.restarted}"
    if ran.status not in ("ok", "error"):
        return f"the cell ended as {ran.status}"
    invalid = _invalid(ran.outputs)
    after = await repl.run("kept + 2", cell=2)
    right = [o.get("data", {}).get("text/plain") for o in after.outputs] == ["42"]
    return invalid or ("" if right else f"the next cell gave {after.outputs!s:.200}")


async def asked_of_inner(repl: Repl, odd: Odd) -> str:
    kernel: Any = repl.kernel
    session = kernel._client.session
    message = {**session.msg(odd.kind, odd.content), "metadata": odd.metadata}
    replies = odd.kind.endswith("_request") and odd.kind != "no_such_request"
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            await kernel.request(message, replies=replies)
    except TimeoutError:
        return "no end"
    except (TypeError, ValueError):  # it cannot be sent at all
        return ""
    after = await repl.run("kept + 2", cell=2)
    right = [o.get("data", {}).get("text/plain") for o in after.outputs] == ["42"]
    return "" if right else f"the next cell gave {after.outputs!s:.200}"


def _invalid(outputs: list[Any]) -> str:
    try:
        written = nbformat.v4.new_code_cell("1", outputs=[nbformat.from_dict(o) for o in outputs])
        nbformat.validate(nbformat.v4.new_notebook(cells=[written]))
    except nbformat.ValidationError as error:
        return f"no valid output: {str(error)[:200]}"
    return ""


async def in_run(environment: str, messages: list[Odd], requests: list[Odd]) -> list[str]:
    """What went wrong, a line for each."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="rz-", dir="/tmp") as cwd:
        async with opened(environment, Path(cwd)) as repl:
            for odd in messages:
                if fault := await sent_by_lm(repl, odd):
                    wrong.append(f"run, {environment}: {odd.channel} {odd.what}: {fault}")
            for odd in requests:
                # Through the gate for front ends no other content comes.
                whole = odd.channel == "shell" and isinstance(odd.content, dict)
                if whole and (fault := await asked_of_inner(repl, odd)):
                    wrong.append(f"run, {environment}: request {odd.what}: {fault}")
    return wrong


# the kernel RLM
@contextmanager
def notebook(environment: str) -> Iterator[Any]:
    sys.path.insert(0, str(Path(__file__).parents[1] / "kernel"))
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from harness import running_kernel

    env = {}
    if environment != "local":
        from tests.modals import image

        env = {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
        env |= {"RLM_ENVIRONMENT": environment, "RLM_IMAGE": image()}
    with (
        tempfile.TemporaryDirectory(prefix="rz-", dir="/tmp") as cwd,
        running_kernel(Path(cwd), env=env) as kernel,
    ):
        yield kernel


def asked_of_front(front: Any, odd: Odd) -> str:
    """Send a request and see its end: ``idle``, and a reply where its kind has one."""
    message = front.session.msg(odd.kind)
    message = {**message, "content": {}, "metadata": odd.metadata}
    content, metadata = odd.json()
    parts = [front.session.pack(message["header"]), b"{}", metadata.encode(), content.encode()]
    parts = [_grown(part) for part in parts]
    frames = [b"<IDS|MSG>", front.session.sign(parts), *parts]
    identity = message["header"]["msg_id"]
    running = front.start("import time; time.sleep(0.2)") if odd.busy else None
    front._sockets[odd.channel].send_multipart(frames)
    replied = odd.kind.endswith("_request") and odd.kind != "no_such_request"
    front.until(
        lambda: front.is_idle(identity) and (identity in front._replies or not replied),
        f"the end of {odd.what}",
        REQUEST_SECONDS,
    )
    if running is not None:
        front.finish(running, SECONDS)
    return _next(front)


def _grown(part: bytes) -> bytes:
    part = part.replace(b"<<huge>>", b"x" * 200_000)
    return re.sub(
        rb'"<<deep ([0-9]+)>>"', lambda found: b"[" * int(found[1]) + b"]" * int(found[1]), part
    )


def _next(front: Any) -> str:
    after = front.run("kept + 2", SECONDS)
    return "" if after.result == "42" else f"the next cell gave {after.error}"


def sent_by_human(front: Any, odd: Odd) -> str:
    front.run(cell(odd), SECONDS)
    return _next(front)


def in_notebook(environment: str, messages: list[Odd], requests: list[Odd]) -> list[str]:
    """What went wrong, a line for each."""
    wrong = []
    with notebook(environment) as kernel:
        front = kernel.front()
        front.run("kept = 40")
        for odd, how in [
            *((odd, sent_by_human) for odd in messages),
            *((odd, asked_of_front) for odd in requests),
        ]:
            try:
                fault = how(front, odd)
            except AssertionError as error:
                fault = f"frozen: {str(error)[:100]}"
            if fault:
                wrong.append(f"notebook, {environment}: {odd.channel} {odd.what}: {fault}")
                kernel.restart()
                kernel.forget_fronts()
                front = kernel.front()
                front.run("kept = 40")
    return wrong


def write(count: int = 200, environment: str = "local", number: int = 1) -> bool:
    """Print what each odd message and request did that it should not; whether none did."""
    messages, requests = made(MESSAGES, count, number), made(ASKED, count, number)
    wrong: list[str] = []
    for face in ("run", "notebook"):
        began = time.monotonic()
        if face == "run":
            found = asyncio.run(in_run(environment, messages, requests))
        else:
            found = in_notebook(environment, messages, requests)
        for line in found:
            print(f"- {line}")
        print(
            f"{face}, {environment}, seed {number}: {len(messages)} messages and {len(requests)} "
            f"requests, {len(found)} with a fault, in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        wrong += found
    return not wrong
