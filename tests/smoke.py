"""Install this checkout for each Python, and ask a question by each face: ``make smoke``.

``python -m tests.smoke PYTHON ...``; without arguments, the supported ones on the PATH. It needs a
package index, and is no part of the suite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ("3.11", "3.12", "3.13")
INSTALL_SECONDS, FACES_SECONDS = 900, 300


def found() -> list[str]:
    """The supported Pythons on the PATH that start: a version manager has some that do not."""
    paths = (shutil.which(f"python{version}") for version in SUPPORTED)
    return [path for path in paths if path and _version(path)]


def _version(python: str) -> str:
    done = subprocess.run([python, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def check(python: str) -> bool:
    """Install and ask; returns whether all faces answered."""
    began = time.monotonic()
    print(f"{_version(python)} ({python})", flush=True)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("RLM_", "OPENAI_", "PYTHON"))}
    with tempfile.TemporaryDirectory() as folder:
        venv, work = Path(folder) / "venv", Path(folder) / "work"
        work.mkdir()
        own = venv / "bin" / "python"
        install = [str(own), "-m", "pip", "install", "-qq", str(ROOT)]
        subprocess.run([python, "-m", "venv", str(venv)], check=True)
        subprocess.run(install, check=True, timeout=INSTALL_SECONDS, env=kept)
        path = {"PATH": f"{own.parent}{os.pathsep}{kept['PATH']}"}
        done = subprocess.run(
            [str(own), "-P", str(ROOT / "tests" / "smoke_faces.py")],
            cwd=work,
            env=kept | path,
            timeout=FACES_SECONDS,
            check=False,
        )
    said = "ok" if done.returncode == 0 else "FAILED"
    print(f"  {said} in {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(not all([check(python) for python in sys.argv[1:] or found()]))
