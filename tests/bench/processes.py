"""The processes of a benchmark: the peer's environment, one process a case, the fake endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".venv" / "bench-peer"
REQUIREMENTS = ROOT / "rlm_kernel" / "evaluation" / "requirements" / "rlms.txt"
CASE_SECONDS = 300


class BenchError(Exception):
    """A case did not run; the message ends with what it wrote last."""


def peer_python() -> str:
    """The interpreter of the peer's environment, which is made where it is missing or old."""
    python, stamp = PEER / "bin" / "python", PEER / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    venv.create(PEER, with_pip=True, clear=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([str(python), *install, "-r", str(REQUIREMENTS)], seconds=600)
    stamp.write_text(wanted)
    return str(python)


def image(python: str, *packages: str) -> str:
    """The tag of an image of this interpreter with these of its packages, made if it is missing."""
    return _run([python, "-m", "tests.hostimage", *packages], seconds=CASE_SECONDS).strip()


def case(
    python: str, side: str, *arguments: str, env: Mapping[str, str] | None = None
) -> dict[str, float]:
    """Run one case in a new process; adds how long that process took, start and imports included.
    ``env`` is added to its environment.

    Raises ``BenchError``.
    """
    began = time.perf_counter()
    command = [python, "-m", f"tests.bench.{side}", *arguments]
    said = _run(command, seconds=CASE_SECONDS, env=env)
    measured: dict[str, float] = json.loads(said.splitlines()[-1])
    return {f"{arguments[0]}_process": time.perf_counter() - began, **measured}


def _run(command: list[str], *, seconds: float, env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=seconds,
            check=True,
            env={**os.environ, **(env or {})},
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command)}: no end after {seconds:g} s") from None
    except subprocess.CalledProcessError as error:
        raise BenchError(f"{' '.join(command)}:\n{error.stderr[-2000:]}") from None
    return done.stdout


@contextmanager
def endpoint() -> Iterator[str]:
    """The address of the fake endpoint, which lives as long as the block."""
    command = [sys.executable, "-m", "tests.bench.server"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()
            server.wait(10)
