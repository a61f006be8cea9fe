"""What goes wrong is said in words that help, and leaves nothing behind."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Opener, comes_true

from rlm_kernel.environments.docker.client import connect
from rlm_kernel.errors import KernelStartError, UsageError

pytestmark = pytest.mark.needs("docker")


class EngineDoor:
    """A socket that leads to the engine until it is shut: for a test's host it died then."""

    def __init__(self, path: Path, engine: str) -> None:
        self._engine = engine
        self._path = path
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                here, there = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
                there.connect(self._engine)
                self._open += [here, there]
                for pair in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def shut(self) -> None:
        self._path.unlink(missing_ok=True)
        for each in [self._listener, *self._open]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def door(
    engine: Any, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineDoor]:
    address = engine.api.base_url.removeprefix("http+docker://localhost") or "/var/run/docker.sock"
    opened = EngineDoor(tmp_path / "engine.sock", address)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'engine.sock'}")
    yield opened
    opened.shut()


def test_no_engine_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UsageError, match=r"no Docker engine answers at unix://.*DOCKER_HOST"):
        connect()


def test_an_address_that_cannot_be_used_is_not_said_to_need_a_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "foo://engine")
    with pytest.raises(UsageError, match=r"DOCKER_HOST=foo://engine cannot be used: .*protocol"):
        connect()


def test_a_socket_that_one_may_not_use_says_how_to_be_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(
        "docker.transport.unixconn.UnixHTTPConnection.connect", refuse, raising=True
    )
    with pytest.raises(UsageError, match=r"may not use the Docker engine.*group"):
        connect()


def test_without_the_sdk_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()  # a project's own folder of that name is no SDK
    program = (
        "import sys; sys.modules['docker.client'] = None\n"
        "from rlm_kernel.environments.docker.client import connect\n"
        "connect()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert 'pip install "rlm_kernel[docker]"' in done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("memory", "2x", "should specify the units"),
        ("tmpfs", "much", "`tmpfs` is 'much': write a size"),
        ("user", "me", "`user` is 'me': write numbers"),
        ("mounts", {"/no/such/folder": "/data"}, "does not exist: /no/such/folder"),
        ("runtime", "none-such", "none-such"),
        ("cpus", 4096.0, "CPUs"),
    ],
)
def test_a_wrong_setting_is_named(opened: Opener, setting: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said), opened(**{setting: value}):
        pass


def test_running_out_of_memory_names_the_limit(opened: Opener) -> None:
    with opened(memory="300m") as place:
        place.start_cell("len(bytearray(b'x') * (700 << 20))")
        assert "out of memory" in (reason := place.reason())
        assert "limit of memory is 300m" in reason


def test_too_few_threads_for_a_kernel_names_the_limit(opened: Opener) -> None:
    with (
        pytest.raises(KernelStartError, match=r"limit of processes and threads is 1 \(`pids`\)"),
        opened(pids=1),
    ):
        pass


def test_a_killed_container_is_said_to_be(engine: Any, opened: Opener) -> None:
    with opened() as place:
        engine.api.kill(place.name)
        assert place.reason() == "the container was killed from outside (exit code 137)"


def test_a_paused_container_is_said_to_be_and_goes(engine: Any, opened: Opener) -> None:
    with opened(silence=3.0) as place:
        engine.api.pause(place.name)
        assert place.reason().startswith("the container is paused")


def test_an_engine_that_dies_in_a_cell_ends_the_kernel_and_is_named(
    engine: Any, door: EngineDoor, opened: Opener, label: str
) -> None:
    with opened() as place:
        place.start_cell("while True: pass")
        door.shut()
        assert "no Docker engine answers" in place.reason()
    gone = {"label": label}
    assert comes_true(lambda: not engine.api.containers(all=True, filters=gone), 10)
