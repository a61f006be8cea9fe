"""``rlm why`` and ``rlm export`` as processes of their own, which a large or a hostile record ends
without the server."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from ..record.filters import for_terminal

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

MOST_SECONDS = 60.0
MOST_MEMORY = 2 << 30
MOST_BYTES = 1 << 26
MOST_TEXT = 20_000
"""Characters of ``rlm why`` that a page is told."""


class CommandFailed(Exception):
    """A command that gave nothing; its text says why."""


async def why(run: Path) -> str:
    """Return where a run's answer came from, as text. Raises ``CommandFailed``."""
    said = (await _output("why", str(run))).decode("utf-8", "replace")
    return "\n".join(map(for_terminal, said[:MOST_TEXT].splitlines()))


async def export(run: Path) -> bytes:
    """Return a run as one page. Raises ``CommandFailed``."""
    return await _output("export", str(run), "-o", "-")


async def _output(*words: str) -> bytes:
    # -P: the folder that the server shows is no place to import from.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "rlm_kernel", *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # it is over
            resource.prlimit(process.pid, resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    try:
        async with asyncio.timeout(MOST_SECONDS):
            out, errors = await asyncio.gather(_read(process.stdout), _read(process.stderr))
            code = await process.wait()
    except TimeoutError:
        raise CommandFailed(f"rlm {words[0]} took over {MOST_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if len(out) > MOST_BYTES:
        raise CommandFailed(f"rlm {words[0]} gave over {MOST_BYTES >> 20} MiB")
    if code:
        told = errors[-2_000:].decode("utf-8", "replace").strip()
        raise CommandFailed(for_terminal(" ".join(told.split())) or f"rlm {words[0]} failed")
    return out


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """Return what comes, of which one byte more than the most shows that it was too much."""
    kept = bytearray()
    while stream is not None and (part := await stream.read(1 << 16)):
        kept += part[: MOST_BYTES + 1 - len(kept)]
    return bytes(kept)
