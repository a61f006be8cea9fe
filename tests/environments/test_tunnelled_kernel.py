"""A kernel whose pipe goes over HTTP, in the hands of a plain Jupyter client."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from relayed import CALL, Echo, Server
from tunnelled import Provided, Proxy, Tunnelled

from rlm_kernel.environments.pipe.carrier import Carrier

WAIT_S = 30.0
IPYKERNEL = ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]


class Kernel:
    """A kernel of the kernelspec ``tunnelled``, and a client of it."""

    def __init__(self, place: Path) -> None:
        # By sockets of its own: a port that was found free is another's a moment later.
        self.manager = KernelManager(
            kernel_name="tunnelled", transport="ipc", ip=str(place / uuid.uuid4().hex[:8])
        )
        self.manager.start_kernel()
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=WAIT_S)

    @property
    def provisioner(self) -> Tunnelled:
        assert isinstance(self.manager.provisioner, Tunnelled)
        return self.manager.provisioner

    @property
    def carrier(self) -> Carrier:
        assert self.provisioner.carrier is not None
        return self.provisioner.carrier

    @property
    def proxy(self) -> Proxy:
        assert self.provisioner.proxy is not None
        return self.provisioner.proxy

    def run(self, code: str) -> tuple[str, dict[str, Any]]:
        """What a cell wrote, and the reply to it."""
        said: list[str] = []
        reply = self.client.execute_interactive(
            code,
            timeout=WAIT_S,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
        return "".join(said), reply["content"]

    def text(self, code: str) -> str:
        return self.run(code)[0]

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(autouse=True, scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kernelspec and the provisioner that it names; a folder for sockets."""
    place = tmp_path_factory.mktemp("jupyter")
    (place / "kernels" / "tunnelled").mkdir(parents=True)
    provisioner = {"provisioner_name": Provided.name, "config": {"folder": str(place / "work")}}
    spec = {
        "argv": IPYKERNEL,
        "display_name": "tunnelled",
        "language": "python",
        "interrupt_mode": "message",
        "metadata": {"kernel_provisioner": provisioner},
    }
    (place / "kernels" / "tunnelled" / "kernel.json").write_text(json.dumps(spec))
    known = KernelProvisionerFactory.instance().provisioners
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(place))
        patch.setitem(known, Provided.name, Provided())
        yield place


@pytest.fixture(scope="module")
def kernel(installed: Path) -> Iterator[Kernel]:
    """One for the tests that leave it well."""
    kernel = Kernel(installed)
    yield kernel
    kernel.stop()


@pytest.fixture
def own(installed: Path) -> Iterator[Kernel]:
    """A kernel for one test, which may harm it."""
    kernel = Kernel(installed)
    yield kernel
    kernel.stop()


@pytest.fixture
def broker(kernel: Kernel, tmp_path: Path) -> Iterator[str]:
    """The path inside of a server here that sends back what comes, turned round."""
    Echo.ended = queue.SimpleQueue()
    with Server(str(tmp_path / "b"), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield kernel.carrier.serve_broker(str(tmp_path / "b"))
        server.shutdown()
        thread.join(WAIT_S)


def test_cells_run_in_the_sandbox(kernel: Kernel) -> None:
    kernel.run("x = 20")
    text, reply = kernel.run("import os; print(x + 1, os.getcwd())")
    assert reply["status"] == "ok"
    assert text == f"21 {kernel.provisioner.folder}\n"


def test_an_interrupt_stops_the_cell_and_keeps_the_kernel(kernel: Kernel) -> None:
    kernel.run("x = 5")
    going = "print('going', flush=True); import time; time.sleep(600)"
    # Or ipykernel drops what it is sent in the moments after an error.
    identity = kernel.client.execute(going, stop_on_error=False)
    while "going" not in kernel.client.get_iopub_msg(timeout=WAIT_S)["content"].get("text", ""):
        pass
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=WAIT_S)
    assert reply["parent_header"]["msg_id"] == identity
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.text("print(x)") == "5\n"


def test_much_output_comes_whole(kernel: Kernel) -> None:
    assert kernel.text("for i in range(20): print('é' * 500_000)").count("é") == 10_000_000


def test_fifty_calls_at_once_all_get_their_own_answer(kernel: Kernel, broker: str) -> None:
    kernel.run(CALL.format(path=broker))
    code = """
from concurrent.futures import ThreadPoolExecutor
asked = [b"%d:" % n + bytes([n]) * 30_000 for n in range(50)]
with ThreadPoolExecutor(50) as pool:
    print(list(pool.map(call, asked)) == [data[::-1] for data in asked])
"""
    assert kernel.text(code) == "True\n"


def test_fifty_megabytes_are_put_there(kernel: Kernel) -> None:
    data = os.urandom(50_000_000)
    path = kernel.carrier.put("large", data)
    digest = hashlib.sha256(data).hexdigest()
    code = f"import hashlib; print(hashlib.sha256(open({path!r}, 'rb').read()).hexdigest())"
    assert kernel.text(code) == f"{digest}\n"


def test_connections_that_are_lost_in_a_cell_are_picked_up_again(
    kernel: Kernel, broker: str
) -> None:
    kernel.run(CALL.format(path=broker) + "kept = 'still here'")
    proxy, before = kernel.proxy, kernel.proxy.cuts
    proxy.repeat, proxy.cut_up, proxy.cut_down = True, 200_000, 200_000
    code = "import os\nfor n in range(9):\n data = os.urandom(500_000)\n"
    code += " print(n, call(data) == data[::-1], 'x' * 100_000)\nprint(kept)"
    text = kernel.text(code)
    proxy.repeat, proxy.cut_up, proxy.cut_down = False, None, None
    assert text.count("True") == 9
    assert text.endswith("still here\n")
    assert proxy.cuts > before + 10


def test_all_connections_may_be_lost_while_nothing_happens(kernel: Kernel) -> None:
    kernel.run("kept = 7")
    kernel.proxy.cut_all()
    assert kernel.text("print(kept)") == "7\n"


def test_a_restart_gives_a_new_kernel(own: Kernel) -> None:
    own.run("x = 1")
    old = own.provisioner.sandbox
    own.manager.restart_kernel(now=True)
    own.client.wait_for_ready(timeout=WAIT_S)
    assert own.run("x")[1]["ename"] == "NameError"
    assert old is not None
    assert old.process.poll() == 0


def test_a_sandbox_that_goes_in_a_cell_ends_the_kernel_with_the_reason(own: Kernel) -> None:
    own.client.execute("import time; time.sleep(600)")
    assert own.provisioner.sandbox is not None
    inside = psutil.Process(own.provisioner.sandbox.process.pid).children(recursive=True)
    own.provisioner.sandbox.process.kill()
    assert own.carrier.exited.result(WAIT_S) is None
    assert own.provisioner.pipe is not None
    assert own.provisioner.pipe.reason == "the vendor says: killed (-9)"
    assert not own.manager.is_alive()
    assert psutil.wait_procs(inside, WAIT_S)[1] == []


def test_a_kernel_that_dies_leaves_its_exit_code(own: Kernel) -> None:
    own.client.execute("import os; os._exit(3)")
    assert own.carrier.exited.result(WAIT_S) == 3
    assert "the kernel ended (exit code 3)" in own.carrier.reason


def test_a_relay_that_is_killed_is_told(own: Kernel) -> None:
    assert own.provisioner.sandbox is not None
    (relay,) = psutil.Process(own.provisioner.sandbox.process.pid).children()
    relay.kill()
    assert own.carrier.exited.result(WAIT_S) is None
    assert own.provisioner.pipe is not None
    assert "signal 9" in own.provisioner.pipe.reason
