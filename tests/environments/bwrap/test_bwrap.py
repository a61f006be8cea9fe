"""What a sandbox of bubblewrap's takes, and its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from killed_host import Doomed, hosts
from sandboxes import Opener, comes_true, write_spec

from rlm_kernel import RLM
from rlm_kernel.environments.bwrap import command
from rlm_kernel.errors import UsageError
from rlm_kernel.testing import ScriptedLM

pytestmark = pytest.mark.needs("bwrap")
GONE_SECONDS = 10
STOP_ALL = """
import os, signal
for name in os.listdir("/proc"):
    if name.isdigit() and int(name) not in (1, os.getpid()):
        os.kill(int(name), signal.SIGSTOP)
"""
OUTLIVE = """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(600)
    os._exit(0)
"""


def _with_variable(name: str) -> list[int]:
    """The processes of this machine that have an environment variable of this name."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                variables = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:  # it has ended, or is another user's
                continue
            if f"\0{name}=".encode() in b"\0" + variables:
                found.append(int(entry))
    return found


@pytest.fixture
def marked(tmp_path: Path) -> str:
    return f"MARK_{os.getpid()}_{tmp_path.name}"


@pytest.fixture
def doomed(tmp_path: Path, marked: str) -> Iterator[Any]:
    with hosts("bwrap") as doomed_at:
        specs = write_spec(tmp_path, "doomed", {"env": {marked: "1"}}, "rlm-bwrap")
        yield lambda moment: doomed_at(moment, specs)


@pytest.mark.parametrize("moment", ["started", "ready", "busy", "forked", "two kernels"])
def test_a_killed_host_leaves_no_process(doomed: Any, marked: str, moment: str) -> None:
    host: Doomed = doomed(moment)
    there = _with_variable(marked)
    assert len(there) >= (0 if moment == "started" else 1)
    host.kill()
    assert comes_true(lambda: _with_variable(marked) == [], GONE_SECONDS)


def test_what_cells_start_ends_with_the_kernel(opened: Opener, marked: str) -> None:
    with opened(env={marked: "1"}) as place:
        assert place.run(OUTLIVE) == ""
        assert comes_true(lambda: len(_with_variable(marked)) >= 2, GONE_SECONDS)
    assert comes_true(lambda: _with_variable(marked) == [], GONE_SECONDS)


def test_a_cell_that_stops_all_that_it_can_does_not_outlive_the_kernel(
    opened: Opener, marked: str
) -> None:
    with opened(env={marked: "1"}) as place:
        place.start_cell(STOP_ALL)
    assert comes_true(lambda: _with_variable(marked) == [], GONE_SECONDS)


@pytest.mark.parametrize("program", command.PROGRAMS)
def test_a_program_that_is_missing_is_named(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in set(command.PROGRAMS) - {program}:
        (tmp_path / other).symlink_to(f"/usr/bin/{other}")
    monkeypatch.setenv("PATH", str(tmp_path))
    rlm = RLM(model=ScriptedLM(["FINAL_VAR(1)"]), environment="bwrap", out=str(tmp_path / "run"))
    with pytest.raises(UsageError, match=f"`{program}` is not installed"):
        rlm.completion("a", "How many?")
    assert not (tmp_path / "run").exists()


def test_a_machine_without_user_namespaces_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1"
    )
    refusing.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    rlm = RLM(model=ScriptedLM(["FINAL_VAR(1)"]), environment="bwrap", out=str(tmp_path / "run"))
    with pytest.raises(UsageError, match="No permissions to create a new namespace"):
        rlm.completion("a", "How many?")


def test_a_python_that_has_the_home_in_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(UsageError, match="has your home in it"):
        command.command(command.BwrapSpec(), ["true"], tmp_path / "filter")


ORDINARY = 54321
AS_ORDINARY = """
import asyncio, os, sys
from pathlib import Path
from rlm_kernel.environments.kernel_config import KernelConfig
from rlm_kernel.environments.registry import check, open_live

async def main():
    config = KernelConfig(Path("."), "bwrap")
    await check(config)
    async with open_live(config) as live:
        await live.kernel.execute("open('/work/found', 'w').write(str(__import__('os').getuid()))")
    print("ran as", os.getuid())

asyncio.run(main())
"""


def test_an_ordinary_user_needs_no_rights(tmp_path: Path) -> None:
    given = [sys.executable, "-c", AS_ORDINARY]
    if os.geteuid() == 0:
        tmp_path.chmod(0o777)
        given = [
            *_reachable(),
            "setpriv",
            f"--reuid={ORDINARY}",
            f"--regid={ORDINARY}",
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--",
            *given,
        ]
    done = subprocess.run(
        given,
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    user = os.geteuid() or ORDINARY
    assert (done.stdout, done.returncode) == (f"ran as {user}\n", 0), done.stderr


def _reachable() -> list[str]:
    """What makes this Python and this checkout reachable for a user who cannot read root's home."""
    options = ["bwrap", "--dev-bind", "/", "/", "--perms", "0755", "--tmpfs", str(Path.home())]
    hidden = [Path.home()]
    if not Path("/tmp").is_relative_to(Path.home()):
        options += ["--perms", "1777", "--tmpfs", "/tmp"]
        hidden.append(Path("/tmp"))
    for path in (Path(sys.base_prefix), Path(sys.prefix), Path(__file__).parents[3]):
        for parent in reversed(path.parents):
            if any(parent.is_relative_to(each) and parent != each for each in hidden):
                options += ["--perms", "0755", "--dir", str(parent)]
        options += ["--ro-bind", str(path), str(path)]
    return [*options, "--"]
