"""Keys that stand in no setting: in a file, or said by a command, such as a keyring's."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
from pathlib import Path

from ..errors import UsageError
from ..record.markdown import one_line, shorten
from ..settings.values import Settings

MOST_BYTES = 65_536
COMMAND_SECONDS = 60.0


async def key_of(settings: Settings, sub: bool = False) -> str | None:
    """Return the key for the endpoint, or for the sub-LM's; None where none is set. Raises
    ``UsageError`` where it cannot be had, which shows nothing of it."""
    prefix = "sub_" if sub else ""
    key, file, command = (getattr(settings, f"{prefix}api_key{way}") for way in _WAYS)
    if key:
        return str(key)
    name = f"RLM_{prefix.upper()}API_KEY"
    if file:
        return await asyncio.to_thread(_in_file, file, f"{name}_FILE={file}")
    if command:
        return await asyncio.to_thread(_said_by, command, f"{name}_COMMAND={command}")
    return None


_WAYS = ("", "_file", "_command")


def _in_file(file: str, label: str) -> str:
    try:
        with Path(file).expanduser().open("rb") as opened:
            data = opened.read(MOST_BYTES)
        return _alone(data, label)
    except OSError as error:
        raise UsageError(f"{label}: it cannot be read: {error.strerror}") from error


def _said_by(command: str, label: str) -> str:
    """Return what a command writes, which runs without a shell."""
    try:
        words = shlex.split(command)
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{label}: it gave no key in {COMMAND_SECONDS:g} s") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{label}: it cannot be run: {why}") from error
    if done.returncode:
        said = shorten(one_line(done.stderr[-2000:].decode("utf-8", "replace")), 300)
        why = f": {said}" if said else ""
        raise UsageError(f"{label}: it failed with exit status {done.returncode}{why}")
    return _alone(done.stdout, label)


def _alone(data: bytes, label: str) -> str:
    """Return a key that stands alone."""
    key = data.decode("utf-8", "replace").strip()
    if not key or len(key.split()) > 1:
        raise UsageError(f"{label}: it is to give one key, and nothing else")
    return key
