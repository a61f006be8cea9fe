"""Any Jupyter client can use the provisioner, from a kernelspec that names it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pexpect
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from sandboxes import Opener, comes_true, write_spec

pytestmark = [pytest.mark.needs("docker"), pytest.mark.anyio]


def test_nbclient_runs_a_notebook(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"image": image}
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    write_spec(tmp_path / "kernels", "boxed", config)
    cells = [
        nbformat.v4.new_code_cell("import os; x = os.getcwd()"),
        nbformat.v4.new_code_cell("print(x)"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="boxed", timeout=60).execute()
    assert cells[1]["outputs"][0]["text"] == "/work\n"


async def test_an_async_manager_starts_interrupts_and_ends_a_kernel(
    engine: Any, image: str, label: str, tmp_path: Path
) -> None:
    config = {"image": image, "labels": dict([label.split("=")])}
    specs = KernelSpecManager(kernel_dirs=[str(write_spec(tmp_path, "boxed", config))])
    manager = AsyncKernelManager(kernel_name="boxed", kernel_spec_manager=specs)
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=30)
    request = client.execute("print('on', flush=True)\nwhile True: pass")
    while (await client.get_iopub_msg(timeout=30))["msg_type"] != "stream":
        pass
    await manager.interrupt_kernel()
    reply = await client.get_shell_msg(timeout=30)
    while reply["parent_header"]["msg_id"] != request:  # a slow start was asked more than once
        reply = await client.get_shell_msg(timeout=30)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    client.stop_channels()
    await manager.shutdown_kernel()
    manager.context.destroy(linger=0)
    assert engine.api.containers(all=True, filters={"label": label}) == []


@pytest.fixture
def console(image: str, label: str, tmp_path: Path) -> Iterator[pexpect.spawn]:
    """``jupyter console`` on a terminal of its own."""
    write_spec(tmp_path / "kernels", "boxed", {"image": image, "labels": dict([label.split("=")])})
    # It would ask the terminal where its cursor is, and wait for a reply.
    terminal = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    env = {**os.environ, "HOME": str(tmp_path), "JUPYTER_PATH": str(tmp_path), **terminal}
    command = ["-m", "jupyter_console", "--kernel", "boxed"]
    running = pexpect.spawn(sys.executable, command, env=env, encoding="utf-8", timeout=60)
    yield running
    running.close(force=True)


@pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning")  # pytest may have threads
def test_a_console_runs_cells_interrupts_one_and_leaves_nothing(
    engine: Any, label: str, console: pexpect.spawn
) -> None:
    def types(line: str, shown: str) -> None:
        console.expect(r"In \[")
        console.send(f"{line}\r")
        console.expect(shown)

    def containers() -> Any:
        return engine.api.containers(all=True, filters={"label": label})

    types("6*7", "42\r\n")
    assert len(containers()) == 1
    types("print('be' + 'gun', flush=True); import time; time.sleep(600)", "begun\r\n")
    console.sendintr()
    console.expect("KeyboardInterrupt.*: \r\n")
    types("_1 + 1", "43\r\n")
    types("exit", "Shutting down kernel")
    console.expect(pexpect.EOF)
    assert console.wait() == 0
    assert comes_true(lambda: containers() == [], 10)


def test_a_second_kernel_can_join_a_container(opened: Opener) -> None:
    with opened() as first:
        first.run("open('/work/note', 'w').write('from the first')")
        with opened(join=first.name) as second:
            assert second.run("print(open('/work/note').read())") == "from the first"
            assert second.run("import os; print(os.getuid())") == "65534"
        assert first.run("print('alive')") == "alive"


def test_kernels_in_containers_of_their_own_share_nothing(opened: Opener) -> None:
    with opened() as first, opened() as second:
        first.run("open('/work/note', 'w').write('from the first')")
        assert second.run("open('/work/note')").startswith("FileNotFoundError")
