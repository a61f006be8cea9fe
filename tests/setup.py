"""What some tests need beside Python packages: whether it is here, and how to get it.

``python -m tests.setup`` installs what is missing. ``make test`` does so with RLM_SETUP=1, and
never without: a test run does not change the machine unasked. Tests whose need is missing are
skipped with the reason; RLM_REQUIRE=browser makes that a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from subprocess import DEVNULL

APT_SECONDS = 900


def chromium() -> str | None:
    """Where Chromium or Chrome is, if it is on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@dataclass(frozen=True)
class Need:
    """``packages`` are Debian's."""

    found: Callable[[], str | None]
    missing: str
    packages: tuple[str, ...]


NEEDS = {
    "browser": Need(chromium, "no chromium on the PATH", ("chromium",)),
}


def required() -> set[str]:
    """The needs that RLM_REQUIRE lists, separated by commas. ``SystemExit`` for an unknown one."""
    listed = {name.strip() for name in os.environ.get("RLM_REQUIRE", "").split(",")} - {""}
    if unknown := sorted(listed - set(NEEDS)):
        raise SystemExit(f"RLM_REQUIRE: {unknown[0]!r} is none of {', '.join(NEEDS)}")
    return listed


def install(packages: Iterable[str]) -> None:
    """By apt-get, as root. ``SystemExit`` says why not."""
    packages = list(packages)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise SystemExit(
            f"install these yourself, this needs apt-get and root: {', '.join(packages)}"
        )
    _say(f"installing {', '.join(packages)} with apt-get from the machine's Debian sources")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-q", "update"],
        ["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages],
    ):
        _say(" ".join(command))
        try:
            subprocess.run(command, env=env, stdin=DEVNULL, check=True, timeout=APT_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise SystemExit(str(error)) from error


def _say(line: str) -> None:
    print(f"tests.setup: {line}", file=sys.stderr, flush=True)


def main() -> None:
    missing = {name: need for name, need in NEEDS.items() if not need.found()}
    if missing:
        install(package for need in missing.values() for package in need.packages)
    for name, need in NEEDS.items():
        where = need.found()
        if where is None:
            raise SystemExit(f"{name}: {need.missing}, although its packages are installed")
        _say(f"{name}: {where}")


if __name__ == "__main__":
    main()
