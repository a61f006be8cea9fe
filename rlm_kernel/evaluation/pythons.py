"""Pythons of their own for what would not live beside us: peers, and the makers of some sets.

Each is a virtual environment in the user's cache, of exact versions, made when it is first wanted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import remote
from ..errors import RLMError
from ..lm.embedded import cache_dir

REQUIREMENTS = Path(__file__).with_name("requirements")
PROGRAMS = Path(remote.__file__).with_name("evaluation")
INSTALL_SECONDS = 900.0
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE")
"""The variables of our environment that are passed on: none holds a key."""
SAID_CHARS = 400


class Unavailable(RLMError):
    """Something that is optional cannot be had here; the text says why."""


def python_of(name: str) -> Path:
    """Return the interpreter that has the packages of ``requirements/NAME.txt``; it is made if it
    is not there. Blocks, for some minutes then. Raises ``Unavailable``."""
    wanted = REQUIREMENTS / f"{name}.txt"
    mark = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_dir() / "evaluation" / f"{name}-{mark}"
    python = folder / "bin" / "python"
    if python.exists():
        return python
    try:
        folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        making = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder.parent))
    except OSError as error:
        raise Unavailable(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        _install(making, wanted)
        if not python.exists():
            os.replace(making, folder)  # whole, or not there
    except OSError as error:
        raise Unavailable(f"{name}: its Python cannot be made: {error}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return python


def _install(folder: Path, wanted: Path) -> None:
    venv.create(folder, with_pip=True)
    # The file names all that is needed: without lm-eval's own dependencies, for one.
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "-r", str(wanted)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"pip has not ended after {INSTALL_SECONDS:g} s") from None
    if done.returncode:
        raise Unavailable(f"pip cannot install {wanted.name}: {last_of(done.stderr)}")


def environment() -> dict[str, str]:
    """Return the environment variables of a program that runs there."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def program(name: str) -> str:
    """Return the path of a program of ``remote.evaluation``."""
    return str(PROGRAMS / f"{name}.py")


def lines(python: Path, name: str, given: Mapping[str, Any], seconds: float) -> Iterator[Any]:
    """Yield the JSON lines that a program prints. Blocks. Raises ``Unavailable``."""
    command = [str(python), "-P", program(name)]
    try:
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=seconds,
            check=False, env=environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{name} has not ended after {seconds:g} s") from None
    if done.returncode:
        raise Unavailable(f"{name} failed: {last_of(done.stderr)}")
    for line in done.stdout.splitlines():
        yield json.loads(line)


def last_of(said: str) -> str:
    """Return the last line that says something, of what a program wrote to standard error."""
    told = [line.strip() for line in said.splitlines() if line.strip()]
    return told[-1][-SAID_CHARS:] if told else "it said nothing"
