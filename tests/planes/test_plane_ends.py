"""What goes wrong on the control plane of the tests, and how a sandbox ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import modal
import pytest
from grpclib import Status
from modal.exception import (
    AuthError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    SandboxTerminatedError,
    SandboxTimeoutError,
    UnimplementedError,
)
from plane import ControlPlane
from plane.stdio import ROOM
from processes import processes_with
from sandboxed import DOCKER, SECONDS, Create, Echo, python
from setup import engine

from rlm_kernel.environments.docker.client import connect

ROOT = Path(__file__).parent.parent.parent


def test_a_sandbox_ends_when_its_time_is_over(create: Create) -> None:
    sandbox = create(timeout=1)
    run = sandbox.exec("sleep", "60")
    with pytest.raises(SandboxTimeoutError):
        sandbox.wait()
    assert sandbox.poll() == 124
    with pytest.raises(NotFoundError):
        run.wait()


def test_an_idle_sandbox_ends(create: Create) -> None:
    sandbox = create(idle_timeout=1)
    assert sandbox.exec("sleep", "1.2").wait() == 0
    sandbox.wait()
    assert sandbox.poll() == 137


@pytest.mark.parametrize(
    ("end", "raised", "status"),
    [
        ("terminate", SandboxTerminatedError, 137),
        ("expire", SandboxTimeoutError, 124),
        ("kill", None, 137),
    ],
)
def test_an_end_from_outside_is_told_by_its_status(
    plane: ControlPlane, create: Create, end: str, raised: type[Exception] | None, status: int
) -> None:
    sandbox = create()
    echo = Echo(sandbox)
    assert echo.answer("there") == "THERE"
    getattr(plane, end)(sandbox.object_id)
    with pytest.raises(NotFoundError):
        echo.end()
    with pytest.raises(NotFoundError):
        python(sandbox, "")
    if raised is None:
        sandbox.wait()
    else:
        with pytest.raises(raised):
            sandbox.wait()
    assert sandbox.poll() == status


@pytest.mark.parametrize("second", ["0", "1"])
def test_the_first_process_ends_a_sandbox_with_its_status(
    create: Create, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    monkeypatch.setenv("MODAL_SANDBOX_V2", second)
    source = "import sys; print(sys.stdin.readline().strip() + ' is read'); sys.exit(5)"
    sandbox = create("python3", "-c", source)
    sandbox.stdin.write("it\n")
    sandbox.stdin.drain()
    sandbox.wait()
    assert (sandbox.returncode, sandbox.stdout.read()) == (5, "it is read\n")


def test_a_first_process_that_nobody_reads_ends_as_any_other(create: Create) -> None:
    source = (
        "import sys\n"
        "for count in range(1000):\n"
        "    print('x' * 1_000_000)\n"
        "    print(count, file=sys.stderr, flush=True)"
    )
    sandbox = create("python3", "-c", source)
    for line in sandbox.stderr:
        if int(line) == ROOM // 1_000_000 - 2:  # it is about to stand still
            break
    sandbox.terminate()
    assert sandbox.poll() == 137


@pytest.mark.parametrize("plane", [DOCKER], indirect=True)
def test_a_first_process_that_takes_too_much_memory_is_killed(create: Create) -> None:
    sandbox = create("python3", "-c", "bytearray(500 << 20)", memory=(64, 128))
    sandbox.wait()
    assert sandbox.poll() == 137


@pytest.mark.parametrize("token", ["MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"])
def test_another_token_is_refused(plane: ControlPlane, token: str) -> None:
    env = {**plane.environment, token: "wrong"}
    stranger = modal.Client.from_credentials(env["MODAL_TOKEN_ID"], env["MODAL_TOKEN_SECRET"])
    with pytest.raises(AuthError, match="Token validation failed"):
        modal.App.lookup("plane", client=stranger)


def test_a_refusal_is_told_and_is_over_after_its_times(plane: ControlPlane, create: Create) -> None:
    plane.refuse("SandboxCreate", Status.PERMISSION_DENIED, "says the test")
    with pytest.raises(PermissionDeniedError, match="says the test"):
        create()
    create().terminate()


def test_a_refusal_of_what_is_no_call_is_an_error(plane: ControlPlane) -> None:
    with pytest.raises(ValueError, match="SandboxMake"):
        plane.refuse("SandboxMake", Status.INTERNAL, "")


def test_a_call_that_is_not_there_says_so(plane: ControlPlane, client: Any) -> None:
    with pytest.raises(UnimplementedError, match="VolumeGetOrCreate"):
        modal.Volume.from_name("v", create_if_missing=True, client=client).hydrate()
    assert "VolumeGetOrCreate" in plane.unimplemented


def test_a_terminal_is_refused(shared: Any) -> None:
    with pytest.raises((InvalidError, UnimplementedError)):
        shared.exec("sh", pty=True)


class ByHand:
    """A plane that was started as a command, and one sandbox on it."""

    def __init__(self, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.plane", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        env: dict[str, str] = {}
        while "NO_PROXY" not in env:
            name, _, value = self.process.stdout.readline().strip().partition("=")
            env[name.removeprefix("export ")] = value
        patch.setenv("MODAL_SERVER_URL", env["MODAL_SERVER_URL"])
        client = modal.Client.from_credentials(env["MODAL_TOKEN_ID"], env["MODAL_TOKEN_SECRET"])
        app = modal.App.lookup("by-hand", create_if_missing=True, client=client)
        self.sandbox = modal.Sandbox.create(app=app, client=client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=SECONDS)

    def left(self) -> bool:
        """Whether anything of the sandbox is there."""
        name = self.sandbox.object_id
        if processes_with(Path(name)):
            return True
        if not engine():
            return False
        with closing(connect()) as client:
            return bool(client.api.containers(all=True, filters={"name": name}))


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("plane", ["process", DOCKER], indirect=True)
def test_no_sandbox_outlives_the_process_of_its_plane(
    plane: ControlPlane, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kill: bool
) -> None:
    arguments = ["--backend", plane.backend]
    if plane.backend == "docker":
        arguments += ["--image", request.getfixturevalue("image")]
    with ByHand(arguments, monkeypatch) as started:
        assert started.left()
        if kill:
            started.process.kill()
        started.process.communicate(timeout=SECONDS)
        until = time.monotonic() + SECONDS
        while started.left():
            assert time.monotonic() < until
        assert started.process.returncode == (-signal.SIGKILL if kill else 0)
