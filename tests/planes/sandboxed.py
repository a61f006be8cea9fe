"""Processes in sandboxes of a plane, through the real SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SECONDS = 30
DOCKER = pytest.param("docker", marks=pytest.mark.needs("docker"))
ECHO = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"
Create = Callable[..., Any]


def python(sandbox: Any, source: str, **kwargs: Any) -> Any:
    return sandbox.exec("python3", "-c", source, **kwargs)


def printed(sandbox: Any, source: str) -> str:
    run = python(sandbox, source)
    out, err = run.stdout.read(), run.stderr.read()
    assert (run.wait(), err) == (0, "")
    return str(out).strip()


class Echo:
    """A process that answers each line, read through one iterator."""

    def __init__(self, sandbox: Any) -> None:
        self.run = python(sandbox, ECHO, bufsize=1)
        self._lines = iter(self.run.stdout)

    def answer(self, line: str) -> str:
        self.run.stdin.write(f"{line}\n")
        self.run.stdin.drain()
        return str(next(self._lines)).strip()

    def end(self) -> int:
        """Its status, once its output was read to the end."""
        self.run.stdin.write_eof()
        self.run.stdin.drain()
        assert list(self._lines) == []
        return int(self.run.wait())
