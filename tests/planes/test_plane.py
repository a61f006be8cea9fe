"""The control plane of the tests does what Modal's SDK expects, on both backends."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import threading
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import certifi
import modal
import pytest
from modal.exception import InvalidError, NotFoundError
from plane import ControlPlane
from plane.reaper import LABEL
from sandboxed import DOCKER, SECONDS, Create, Echo, printed, python

from rlm_kernel.environments.docker.client import connect


def test_a_process_has_its_two_streams_and_its_status(shared: Any) -> None:
    run = python(shared, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (run.stdout.read(), run.stderr.read(), run.wait()) == ("out\n", "err\n", 3)


@pytest.mark.parametrize("second", ["0", "1"])
def test_both_versions_of_the_interface_work(
    create: Create, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    monkeypatch.setenv("MODAL_SANDBOX_V2", second)
    sandbox = create()
    assert printed(sandbox, "print(6 * 7)") == "42"
    again = modal.Sandbox.from_id(sandbox.object_id, client=sandbox.client)
    again.terminate()
    assert sandbox.poll() == 137


def test_some_megabytes_go_in_and_come_out_unchanged(shared: Any) -> None:
    data = random.Random(1).randbytes(6_000_000)
    run = shared.exec("cat", text=False)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(run.stdout.read()))
    reader.start()
    for start in range(0, len(data), 1_000_000):
        run.stdin.write(data[start : start + 1_000_000])
        run.stdin.drain()
    run.stdin.write_eof()
    run.stdin.drain()
    reader.join(SECONDS)
    assert hashlib.sha256(b"".join(read)).digest() == hashlib.sha256(data).digest()
    assert run.wait() == 0


def test_streams_go_on_where_a_cut_left_them(plane: ControlPlane, sandbox: Any) -> None:
    echo = Echo(sandbox)
    before = plane.calls.count("TaskExecStdioRead")
    for turn in range(4):
        assert echo.answer(f"line {turn}") == f"LINE {turn}"
        plane.cut(sandbox.object_id)
    assert echo.answer("last") == "LAST"
    assert echo.end() == 0
    assert plane.calls.count("TaskExecStdioRead") > before + 1


def test_streams_go_on_when_the_plane_was_away(plane: ControlPlane, sandbox: Any) -> None:
    echo = Echo(sandbox)
    assert echo.answer("before") == "BEFORE"
    plane.stop()
    plane.start()
    assert echo.answer("after") == "AFTER"
    assert echo.end() == 0


def test_the_environment_is_what_was_given(shared: Any) -> None:
    names = "GIVEN", "SECRET", "MODAL_TOKEN_SECRET", "SSL_CERT_FILE"
    said = printed(shared, f"import os; print([os.environ.get(name) for name in {names}])")
    assert said == str(["by env", "s3", None, None])


def test_a_secret_that_is_not_there_is_not_found(create: Create) -> None:
    with pytest.raises(NotFoundError, match="Secret 'other'"):
        create(secrets=[modal.Secret.from_name("other")])


def test_mounted_files_arrive_the_large_ones_too(create: Create, tmp_path: Path) -> None:
    large = random.Random(2).randbytes(5_000_000)  # above what goes in a message
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "small.txt").write_text("small")
    (tmp_path / "large.bin").write_bytes(large)
    image = modal.Image.debian_slim(python_version="3.11")
    image = image.add_local_dir(tmp_path / "folder", "/mounted/folder")
    image = image.add_local_file(tmp_path / "large.bin", "/mounted/large.bin")
    sandbox = create(image=image)
    source = (
        "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"
    )
    for path, content in (("folder/deep/small.txt", b"small"), ("large.bin", large)):
        run = sandbox.exec("python3", "-c", source, f"/mounted/{path}")
        assert run.stdout.read().strip() == hashlib.sha256(content).hexdigest()
        run.wait()
    sandbox.terminate()


def test_a_recipe_is_noted(plane: ControlPlane, create: Create) -> None:
    image = modal.Image.debian_slim(python_version="3.11").pip_install("ipykernel==7.4.0")
    create(image=image).terminate()
    assert any("ipykernel==7.4.0" in recipe[-1] for recipe in plane.images.values())


def test_tags_and_the_app_find_a_sandbox(plane: ControlPlane, create: Create, client: Any) -> None:
    found = create(tags={"run": "one", "node": "n"})
    create(tags={"run": "two"}).terminate()

    def listed(**kwargs: Any) -> list[str]:
        return [each.object_id for each in modal.Sandbox.list(client=client, **kwargs)]

    app = modal.App.lookup("plane", client=client)
    other = modal.App.lookup("other", create_if_missing=True, client=client)
    assert listed(app_id=app.app_id, tags={"run": "one"}) == [found.object_id]
    assert listed(app_id=app.app_id, tags={"run": "two"}) == []
    assert listed(app_id=other.app_id) == []
    found.set_tags({"run": "three"})
    assert found.get_tags() == {"run": "three"}
    found.terminate()
    assert found.object_id not in plane.running()


def serve(sandbox: Any, port: int) -> None:
    """A server of files in it that answers."""
    run = sandbox.exec("python3", "-u", "-m", "http.server", str(port))
    assert "Serving" in next(iter(run.stdout))


def fetched(url: str, trusted: str) -> int:
    context = ssl.create_default_context(cafile=trusted)
    with urllib.request.urlopen(url, context=context, timeout=SECONDS) as answer:
        answer.read()
        return int(answer.status)


def test_a_tunnel_leads_inside_over_tls(plane: ControlPlane, create: Create) -> None:
    trusted = plane.environment["SSL_CERT_FILE"]
    sandbox = create(encrypted_ports=[8071], outbound_cidr_allowlist=[])
    serve(sandbox, 8071)
    url = sandbox.tunnels()[8071].url
    assert fetched(url, trusted) == 200
    with pytest.raises(OSError, match="certificate verify failed"):
        fetched(url, certifi.where())
    plane.cut(sandbox.object_id)
    assert fetched(url, trusted) == 200
    plane.close_tunnels(sandbox.object_id)
    with pytest.raises(OSError, match="refused"):
        fetched(url, trusted)
    sandbox.terminate()


ANSWERING = """
import socket
with socket.create_server(("0.0.0.0", 8072)) as server:
    print("listens", flush=True)
    connection, _ = server.accept()
    asked = connection.makefile("rb").read()
    connection.sendall(asked * 3_000_000)
    connection.close()
"""


def test_a_tunnel_in_the_clear_carries_all_after_one_side_has_ended(create: Create) -> None:
    sandbox = create(unencrypted_ports=[8072])
    assert next(iter(python(sandbox, ANSWERING).stdout)) == "listens\n"
    with socket.create_connection(sandbox.tunnels()[8072].tcp_socket, SECONDS) as asking:
        asking.sendall(b"x")
        asking.shutdown(socket.SHUT_WR)
        with asking.makefile("rb") as answer:
            assert len(answer.read()) == 3_000_000
    sandbox.terminate()


@pytest.mark.parametrize("plane", [DOCKER], indirect=True)
def test_a_container_has_no_network_unless_it_may(create: Create) -> None:
    source = "import socket; print(sorted(name for _, name in socket.if_nameindex()))"
    for kwargs in ({"block_network": True}, {"outbound_cidr_allowlist": []}):
        blocked = create(**kwargs)
        assert printed(blocked, source) == "['lo']"
        blocked.terminate()
    free = create()
    assert "eth0" in printed(free, source)
    free.terminate()


@pytest.mark.parametrize("plane", [DOCKER], indirect=True)
def test_a_container_keeps_to_its_memory_and_its_working_folder(create: Create) -> None:
    sandbox = create(memory=(64, 128), workdir="/tmp/here")
    assert printed(sandbox, "import os; bytearray(50 << 20); print(os.getcwd(), os.getuid())") == (
        "/tmp/here 0"
    )
    assert python(sandbox, "bytearray(500 << 20)").wait() == 137
    sandbox.terminate()


@pytest.mark.parametrize("plane", [DOCKER], indirect=True)
def test_a_container_that_cannot_start_is_told_and_leaves_nothing(
    plane: ControlPlane, create: Create, tmp_path: Path
) -> None:
    before = plane.running()
    (tmp_path / "file").write_text("a file")
    image = modal.Image.debian_slim(python_version="3.11")
    with pytest.raises(InvalidError, match="etc/passwd"):
        create(image=image.add_local_file(tmp_path / "file", "/etc/passwd/in-a-file"))
    not_started = {"label": f"{LABEL}={plane.id}", "status": "created"}
    with closing(connect()) as engine:
        assert engine.api.containers(all=True, filters=not_started) == []
    assert plane.running() == before
