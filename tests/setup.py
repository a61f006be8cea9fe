"""What some tests need beside Python packages: whether it is here, and how to get it.

``python -m tests.setup`` installs what is missing. ``make test`` does so with RLM_SETUP=1, and
never without: a test run does not change the machine unasked. Tests whose need is missing are
skipped with the reason; RLM_REQUIRE=browser makes that a failure.

A Docker engine that was started here is left running until the machine ends: whoever asks for it
with RLM_SETUP=1 runs the tests of a machine made for that, and the next run finds it there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, STDOUT

APT_SECONDS = 900
ENGINE_SECONDS = 20
SOCKET = "unix:///var/run/docker.sock"
DAEMON_OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--storage-driver=vfs",),  # no overlayfs here
    ("--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"),
)


def chromium() -> str | None:
    """Where Chromium or Chrome is, if it is on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def bwrap() -> str | None:
    """Where bubblewrap is, if it makes sandboxes here."""
    from rlm_kernel.environments.bwrap.command import BwrapSpec
    from rlm_kernel.environments.bwrap.sandbox import try_one
    from rlm_kernel.errors import RLMError

    try:
        try_one(BwrapSpec())
    except RLMError:
        return None
    return shutil.which("bwrap")


def engine() -> str | None:
    """Where a Docker engine answers, if it does and the SDK is here."""
    from rlm_kernel.environments.docker.client import DEFAULT_ADDRESS, connect
    from rlm_kernel.errors import RLMError

    try:
        connect().close()
    except RLMError:
        return None
    return os.environ.get("DOCKER_HOST", DEFAULT_ADDRESS)


def start_engine() -> None:
    """Start a daemon, as root, and leave it running. ``SystemExit`` says why it does not start."""
    log = Path(tempfile.gettempdir()) / "rlm-tests-dockerd.log"
    for options in DAEMON_OPTIONS:
        command = [_which("dockerd") or "dockerd", f"--host={SOCKET}", "--log-level=warn", *options]
        with log.open("wb") as said:
            daemon = subprocess.Popen(
                command, stdin=DEVNULL, stdout=said, stderr=STDOUT, start_new_session=True
            )
        if _answers(daemon):
            _say(f"{' '.join(command)} is process {daemon.pid}, and is left running")
            return
        daemon.terminate()
        daemon.wait(30)
    end = log.read_text(errors="replace")[-2000:]
    raise SystemExit(f"the Docker engine does not start; its log ends:\n{end}")


def _answers(daemon: subprocess.Popen[bytes]) -> bool:
    limit = time.monotonic() + ENGINE_SECONDS
    while time.monotonic() < limit and daemon.poll() is None:
        if engine():
            return True
        time.sleep(0.1)
    return False


@dataclass(frozen=True)
class Need:
    """``packages`` are Debian's; what they bring is started by ``start``, if need be."""

    found: Callable[[], str | None]
    missing: str
    packages: tuple[str, ...]
    programs: tuple[str, ...] = ()
    """Where these are on the PATH, no package is installed."""
    start: Callable[[], None] | None = None


NEEDS = {
    "bwrap": Need(bwrap, "no bubblewrap that makes sandboxes", ("bubblewrap",), ("bwrap",)),
    "browser": Need(chromium, "no chromium on the PATH", ("chromium",)),
    "docker": Need(
        engine,
        "no Docker engine that answers",
        ("docker.io", "iptables"),
        ("dockerd", "iptables"),
        start_engine,
    ),
    "plane": Need(
        lambda: engine() if os.geteuid() == 0 else None,
        "no Docker engine, or no root, who can enter its containers' networks as a tunnel must",
        (),
    ),
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


def _which(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _say(line: str) -> None:
    print(f"tests.setup: {line}", file=sys.stderr, flush=True)


def main() -> None:
    missing = [need for need in NEEDS.values() if not need.found()]
    absent = [
        need
        for need in missing
        if need.packages and not (need.programs and all(map(_which, need.programs)))
    ]
    if absent:
        install(package for need in absent for package in need.packages)
    for name, need in NEEDS.items():
        if need.start and not need.found():
            need.start()
        where = need.found()
        if where is None and need.packages:
            raise SystemExit(f"{name}: {need.missing}, although its packages are installed")
        _say(f"{name}: {where}")


if __name__ == "__main__":
    main()
