"""A kernel behind a relay: what its clients see, and what happens when either end goes wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import psutil
import pytest
import zmq
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory
from relayed import CALL, Echo, Provided, Relayed, Server, async_manager, install, managed, spec

from rlm_kernel.environments import frozen
from rlm_kernel.environments.pipe import host_end
from rlm_kernel.environments.pipe.carrier import Carrier
from rlm_kernel.environments.pipe.pipe import Woken
from rlm_kernel.environments.pipe.transfer import files_of
from rlm_kernel.errors import ContextError, KernelDied, KernelStartError, UsageError
from rlm_kernel.remote import relay

WAIT_S = 30.0


@pytest.fixture(autouse=True, scope="module")
def provided() -> Iterator[None]:
    known = KernelProvisionerFactory.instance().provisioners
    known[Provided.name] = Provided()
    yield
    del known[Provided.name]


class Ran:
    """What one cell did: its iopub messages in order, and its reply."""

    def __init__(self, messages: list[dict[str, Any]], reply: dict[str, Any]) -> None:
        self.messages = messages
        self.reply = reply["content"]

    @property
    def kinds(self) -> list[str]:
        return [message["msg_type"] for message in self.messages]

    @property
    def text(self) -> str:
        streams = [m["content"]["text"] for m in self.messages if m["msg_type"] == "stream"]
        return "".join(streams)


class Live:
    """A started kernel and a blocking client of it."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self.client: BlockingKernelClient = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=WAIT_S)

    @property
    def provisioner(self) -> Relayed:
        assert isinstance(self.manager.provisioner, Relayed)
        return self.manager.provisioner

    @property
    def carrier(self) -> Carrier:
        assert self.provisioner.carrier is not None
        return self.provisioner.carrier

    @property
    def relay(self) -> psutil.Process:
        assert self.provisioner.pipe is not None
        return psutil.Process(self.provisioner.pipe.process.pid)

    def begin(self, code: str, **options: Any) -> str:
        return str(self.client.execute(code, **options))

    def outputs(self, identity: str) -> list[dict[str, Any]]:
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=WAIT_S)
            if message["parent_header"].get("msg_id") != identity:
                continue
            messages.append(message)
            if message["content"].get("execution_state") == "idle":
                return messages

    def reply(self, identity: str) -> dict[str, Any]:
        while True:
            reply: dict[str, Any] = self.client.get_shell_msg(timeout=WAIT_S)
            if reply["parent_header"]["msg_id"] == identity:
                return reply

    def finish(self, identity: str) -> Ran:
        return Ran(self.outputs(identity), self.reply(identity))

    def run(self, code: str) -> Ran:
        return self.finish(self.begin(code))

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def launch(mode: str = "message", **config: object) -> Live:
    manager = managed(KernelManager, spec(mode=mode, **config))
    manager.start_kernel()
    return Live(manager)


@pytest.fixture(scope="module")
def live(provided: None) -> Iterator[Live]:
    """One kernel for the tests that leave it well."""
    live = launch(bootstrapped=True)
    yield live
    live.stop()


@pytest.fixture
def own() -> Iterator[Live]:
    """A kernel for one test, which may harm it."""
    live = launch()
    yield live
    live.stop()


# what a client sees


def test_a_cell_runs_and_its_messages_come_in_order(live: Live) -> None:
    ran = live.run("import sys; print('a'); sys.stdout.flush(); display(2); print('b'); 3")
    assert ran.reply["status"] == "ok"
    kinds = ["status", "execute_input", "stream", "display_data", "stream", "execute_result"]
    assert ran.kinds == [*kinds, "status"]


def test_many_small_outputs_all_come(live: Live) -> None:
    ran = live.run("for i in range(3000): display(i)")
    shown = [m["content"]["data"]["text/plain"] for m in ran.messages if "data" in m["content"]]
    assert shown == [str(number) for number in range(3000)]


def test_a_line_is_asked_for_and_given(live: Live) -> None:
    identity = live.begin("print(input('? ').upper())", allow_stdin=True)
    asked = live.client.get_stdin_msg(timeout=WAIT_S)
    assert asked["content"]["prompt"] == "? "
    live.client.input("yes")
    assert live.finish(identity).text == "YES\n"


COMM = """
from comm import create_comm, get_comm_manager
def opened(comm, message):
    comm.send({"size": len(message["buffers"][0])}, buffers=[bytes(message["buffers"][0])[::-1]])
get_comm_manager().register_target("echo", opened)
"""


def test_buffers_of_a_comm_pass_both_ways(live: Live) -> None:
    live.run(COMM)
    data = os.urandom(3_000_000)
    content = {"comm_id": "c1", "target_name": "echo", "data": {}}
    message = live.client.session.msg("comm_open", content)
    live.client.session.send(live.client.shell_channel.socket, message, buffers=[data])
    while True:
        answer = live.client.get_iopub_msg(timeout=WAIT_S)
        if answer["msg_type"] == "comm_msg":
            break
    assert answer["content"]["data"] == {"size": len(data)}
    assert bytes(answer["buffers"][0]) == data[::-1]


def wait_for_text(live: Live, text: str) -> None:
    while True:
        message = live.client.get_iopub_msg(timeout=WAIT_S)
        if text in message["content"].get("text", ""):
            return


@pytest.mark.parametrize("how", ["message", "signal"])
def test_an_interrupt_stops_the_cell_and_keeps_the_kernel(live: Live, how: str) -> None:
    code = "print('going', flush=True)\nimport time\nfor i in range(600): time.sleep(0.1)"
    identity = live.begin(code)
    wait_for_text(live, "going")
    if how == "message":
        live.manager.interrupt_kernel()
    else:
        live.carrier.signal(signal.SIGINT)
    assert live.finish(identity).reply["ename"] == "KeyboardInterrupt"
    assert live.run("print(6 * 7)").text == "42\n"


def test_control_is_answered_while_much_output_comes(live: Live) -> None:
    identity = live.begin("for i in range(50): print('é' * 500_000, flush=True)")
    message = live.client.session.msg("kernel_info_request", {})
    live.client.session.send(live.client.control_channel.socket, message)
    reply = live.client.get_control_msg(timeout=WAIT_S)
    assert reply["msg_type"] == "kernel_info_reply"
    assert live.finish(identity).text.count("é") == 25_000_000


def test_a_client_that_does_not_read_holds_up_others_outputs_and_loses_none_of_its_own(
    own: Live,
) -> None:
    with (
        ThreadPoolExecutor() as pool,
        zmq.Context() as context,
        slow_client(own, context) as slow,
    ):
        identity = own.begin("for i in range(4000): display('x' * 10_000 + str(i))")
        assert own.reply(identity)["content"]["status"] == "ok"  # replies are not held up
        # The blocking client stays on this thread: elsewhere it leaves an event loop open.
        shown = pool.submit(read_displays, slow, 4000)
        assert len(own.outputs(identity)) == 4000 + 3
        assert shown.result(WAIT_S) == [str(number) for number in range(4000)]


@contextmanager
def slow_client(live: Live, context: zmq.Context[zmq.Socket[bytes]]) -> Iterator[zmq.Socket[bytes]]:
    """A client of the outputs that is connected, reads none, and has no room to keep many."""
    with context.socket(zmq.SUB) as slow:
        slow.linger = 0
        slow.rcvhwm = 1  # and the system's buffer does not grow while nobody reads
        slow.subscribe(b"")
        info = live.manager.get_connection_info()
        slow.connect(f"tcp://{info['ip']}:{info['iopub_port']}")
        live.run("1")
        while not slow.poll(10):
            live.run("2")  # until it is connected
        yield slow


def read_displays(sock: zmq.Socket[bytes], count: int) -> list[str]:
    shown: list[str] = []
    while len(shown) < count and sock.poll(WAIT_S * 1000):
        parts = sock.recv_multipart()
        if b"display_data" in parts[0]:
            shown.append(json.loads(parts[-1])["data"]["text/plain"][10_001:-1])
    return shown


def test_a_client_that_never_reads_does_not_stop_the_others(
    own: Live, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(host_end, "SLOW_CLIENT_S", 0.3)
    with zmq.Context() as context, slow_client(own, context):
        ran = own.run("for i in range(4000): display('x' * 10_000)")
        assert ran.kinds.count("display_data") == 4000
    assert "a client reads no outputs" in caplog.text


def test_a_message_over_the_limit_is_replaced_by_a_note_that_says_so() -> None:
    live = launch(max_message=100_000)
    try:
        ran = live.run("print('x' * 200_000); print('after')")
        assert "bytes was left out; the limit is 100,000" in ran.text
        assert live.run("print('well')").text == "well\n"
    finally:
        live.stop()


def test_a_client_with_a_wrong_key_gets_nothing(live: Live) -> None:
    stranger = BlockingKernelClient()
    stranger.load_connection_info({**live.manager.get_connection_info(), "key": b"wrong"})
    stranger.start_channels()
    try:
        stranger.execute("stranger = 1")
        ran = live.run("print('stranger' in dir())")
        assert ran.text == "False\n"
        with pytest.raises(queue.Empty):
            stranger.get_shell_msg(timeout=0.2)
    finally:
        stranger.stop_channels()


def test_a_request_that_was_changed_on_the_way_is_refused_by_the_kernel(live: Live) -> None:
    session = live.client.session
    frames = session.serialize(session.msg("execute_request", {"code": "changed = 1"}))
    frames[-1] = frames[-1].replace(b"changed = 1", b"changed = 2")
    live.client.shell_channel.socket.send_multipart(frames)
    assert live.run("print('changed' in dir())").text == "False\n"


@pytest.mark.anyio
async def test_an_async_client_works_while_its_loop_is_busy_with_others() -> None:
    manager = async_manager()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=WAIT_S)
        reply = await client.execute_interactive("x = 5", timeout=WAIT_S)
        assert reply["content"]["status"] == "ok"
        await manager.restart_kernel()
        await client.wait_for_ready(timeout=WAIT_S)
        reply = await client.execute_interactive("x", timeout=WAIT_S, output_hook=print)
        assert reply["content"]["ename"] == "NameError"
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()
    assert not manager.has_kernel


@pytest.mark.anyio
@pytest.mark.parametrize("policy", ["required", "auto"])
async def test_a_client_that_wants_encryption_has_it_and_another_one_gets_nothing(
    policy: str,
) -> None:
    manager = async_manager()
    assert manager.kernel_spec is not None
    manager.kernel_spec.metadata["supported_encryption"] = ["curve"]
    manager.transport_encryption = policy
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    plain = zmq.Context.instance().socket(zmq.DEALER)
    try:
        await client.wait_for_ready(timeout=WAIT_S)
        asked = manager.session.serialize(manager.session.msg("kernel_info_request"))
        plain.connect(f"tcp://{manager.ip}:{manager.shell_port}")
        plain.send_multipart(asked)
        await client.execute_interactive("x = 5", timeout=WAIT_S)
        assert plain.poll(200) == 0
        await manager.restart_kernel()
        await client.wait_for_ready(timeout=WAIT_S)
    finally:
        plain.close(linger=0)
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


def test_a_notebook_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    cells = [nbformat.v4.new_code_cell(code) for code in ("x = 20", "print(x + 1)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, kernel_name="relayed", timeout=60).execute()
    assert notebook.cells[1].outputs[0].text == "21\n"


def test_it_works_over_ipc(tmp_path: Path) -> None:
    manager = managed(KernelManager, spec())
    manager.transport = "ipc"
    manager.ip = str(tmp_path / "k")
    manager.start_kernel()
    live = Live(manager)
    try:
        assert live.run("print(1)").text == "1\n"
    finally:
        live.stop()


# what the kernel sees


def test_the_kernel_gets_nothing_of_our_environment_that_was_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernelspec = spec(env={"GIVEN": "1"}, pass_env=["NAMED"])
    kernelspec.env = {"FROM_SPEC": "${NAMED}-2"}
    manager = managed(KernelManager, kernelspec)
    handed = {"SECRET_KEY": "sk-1", "NAMED": "n"}
    manager.start_kernel(env=handed)
    live = Live(manager)
    try:
        names = "GIVEN", "FROM_SPEC", "NAMED", "SECRET_KEY"
        ran = live.run(f"import os; print([os.environ.get(name) for name in {names!r}])")
        assert ran.text == "['1', 'n-2', 'n', None]\n"
    finally:
        live.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_kernel_holds_no_descriptor_of_the_pipe(live: Live) -> None:
    code = "import os\nfor n in os.listdir('/proc/self/fd'):\n"
    code += " try: print(os.readlink(f'/proc/self/fd/{n}'))\n except OSError: pass"
    held = set(live.run(code).text.split())
    ours = {os.readlink(f"/proc/{live.relay.pid}/fd/{n}") for n in os.listdir(
        f"/proc/{live.relay.pid}/fd")}  # fmt: skip
    pipes = {name for name in ours & held if name.startswith(("pipe:", "socket:"))}
    assert len(pipes) <= 1  # the kernel's own output, which the relay reads


def test_a_stray_print_of_what_it_starts_does_no_harm(live: Live) -> None:
    code = "import os; [os.write(1, b'stray') for _ in range(9)]; os.system('echo stray'); 1"
    assert live.run(code).reply["status"] == "ok"
    assert live.run("print('well')").text == "well\n"


# calls to the broker


@pytest.fixture
def broker(live: Live, tmp_path: Path) -> Iterator[str]:
    """The path inside of an echo server here."""
    Echo.ended = queue.SimpleQueue()
    with Server(str(tmp_path / "b"), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield live.carrier.serve_broker(str(tmp_path / "b"))
        server.shutdown()
        thread.join(WAIT_S)


def test_fifty_calls_at_once_all_get_their_own_answer(live: Live, broker: str) -> None:
    live.run(CALL.format(path=broker))
    code = """
from concurrent.futures import ThreadPoolExecutor
asked = [b"%d:" % n + bytes([n]) * 30_000 for n in range(50)]
with ThreadPoolExecutor(50) as pool:
    print(list(pool.map(call, asked)) == [data[::-1] for data in asked])
"""
    assert live.run(code).text == "True\n"


def test_twenty_megabytes_pass_both_ways(live: Live, broker: str) -> None:
    live.run(CALL.format(path=broker))
    code = "import os\ndata = os.urandom(20_000_000)\nprint(call(data) == data[::-1])"
    assert live.run(code).text == "True\n"


def test_hanging_up_inside_reaches_the_broker(live: Live, broker: str) -> None:
    live.run(
        f"import socket\nline = socket.socket(socket.AF_UNIX)\nline.connect({broker!r})\n"
        "line.sendall(b'half a request')\nline.close()"
    )
    assert Echo.ended.get(timeout=WAIT_S) == len(b"half a request")


def test_a_call_without_a_broker_is_refused_and_not_left_waiting(own: Live) -> None:
    own.run(CALL.format(path=own.carrier.broker))
    ran = own.run("print(call(b'hello'))")
    assert ran.text == "b''\n" or ran.reply["ename"] in ("BrokenPipeError", "ConnectionResetError")


# files


def test_a_large_text_arrives_whole_and_neither_end_holds_it(live: Live, tmp_path: Path) -> None:
    source = tmp_path / "large"
    block = "Zażółć gęślą jaźń, 長い文脈\n".encode() * 25_000
    digest = hashlib.sha256()
    with source.open("wb") as file:
        while file.tell() < 200_000_000:
            file.write(block)
            digest.update(block)
    before = [peak(os.getpid()), peak(live.relay.pid)]
    path = live.carrier.put("large", source)
    grown = [now - then for then, now in zip(
        before, [peak(os.getpid()), peak(live.relay.pid)], strict=True)]  # fmt: skip
    code = f"import hashlib; print(hashlib.sha256(open({path!r}, 'rb').read()).hexdigest())"
    assert live.run(code).text == digest.hexdigest() + "\n"
    assert max(grown) < 40_000_000
    live.run(f"import os; os.unlink({path!r})")


def peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def test_bytes_are_put_and_put_again_under_the_same_name(live: Live) -> None:
    for data in (b"first", b""):
        path = live.carrier.put("note", data)
        assert live.run(f"print(open({path!r}, 'rb').read())").text == f"{data!r}\n"


def test_a_folder_arrives_without_its_links(live: Live, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "ż.txt").write_text("deep")
    (tmp_path / "empty").write_text("")
    (tmp_path / "link").symlink_to("/etc/passwd")
    path = live.carrier.put_tree("tree", files_of(tmp_path))
    code = f"""
import pathlib
root = pathlib.Path({path!r})
print(sorted((str(p.relative_to(root)), p.read_text()) for p in root.rglob("*") if p.is_file()))
"""
    assert live.run(code).text == "[('a/b/ż.txt', 'deep'), ('empty', '')]\n"
    with pytest.raises(ContextError, match="No such file"):
        files_of(tmp_path / "missing")


def test_a_file_that_is_gone_is_left_out_of_its_folder(live: Live, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    listed = [(name, tmp_path / name) for name in ("gone", "there")]
    path = live.carrier.put_tree("less", listed)
    assert live.run(f"import os; print(os.listdir({path!r}))").text == "['there']\n"


def test_a_transfer_that_is_given_up_leaves_nothing_inside(live: Live, tmp_path: Path) -> None:
    place = Path(live.carrier.put("first", b"x")).parent
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_text("not to be read as a file")
    files = iter([tmp_path / "a", tmp_path / "b"])
    tree = tmp_path / "tree"
    tree.mkdir()
    for path in files:
        (tree / path.name).hardlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fstat", lambda fd: os.stat_result((0,) * 6 + (4_000_000,) + (0,) * 3))
        with pytest.raises(ContextError, match="became shorter"):
            live.carrier.put_tree("given-up", files_of(tree))
    assert live.run("print('well')").text == "well\n"
    code = f"import os; print([n for n in os.listdir({str(place)!r}) if n.startswith('given-up')])"
    assert live.run(code).text == "[]\n"


def test_a_file_that_is_not_there_or_too_large_or_wrongly_named_is_refused(tmp_path: Path) -> None:
    live = launch(max_put=1000)
    try:
        with pytest.raises(ContextError, match="No such file"):
            live.carrier.put("x", tmp_path / "missing")
        with pytest.raises(ContextError, match="limit of 1,000 bytes"):
            live.carrier.put("x", b"x" * 1001)
        with pytest.raises(UsageError, match="no plain file name"):
            live.carrier.put("../x", b"x")
        assert live.run("print('well')").text == "well\n"
    finally:
        live.stop()


def test_what_is_there_already_is_replaced(live: Live) -> None:
    path = Path(live.carrier.put("folder", b"x"))
    live.run(f"import os; os.unlink({str(path)!r}); os.mkdir({str(path)!r})")
    live.carrier.put("folder", b"y")
    assert path.read_bytes() == b"y"


def test_what_cannot_be_stored_inside_says_why(live: Live) -> None:
    folder = Path(live.carrier.put("first", b"x")).parent
    away = folder.with_name("away")
    live.run(f"import os; os.rename({str(folder)!r}, {str(away)!r})")
    with pytest.raises(ContextError, match="could not be stored for the kernel: No such file"):
        live.carrier.put("second", b"y")
    live.run(f"os.rename({str(away)!r}, {str(folder)!r})")


# ends


def gone(*pids: int) -> bool:
    return not any(map(_alive, pids))


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def eventually(true: Callable[[], bool]) -> bool:
    limit = time.monotonic() + WAIT_S
    while not true() and time.monotonic() < limit:
        threading.Event().wait(0.02)
    return true()


@pytest.mark.parametrize(
    ("code", "expected"), [("os._exit(3)", 3), ("os.kill(os.getpid(), 9)", -9)]
)
def test_the_kernels_death_gives_its_exit_code(own: Live, code: str, expected: int) -> None:
    own.begin(f"import os; os.write(2, b'last words'); {code}")
    assert own.carrier.exited.result(WAIT_S) == expected
    assert "the kernel ended (" in own.carrier.reason
    assert not own.manager.is_alive()
    with pytest.raises(KernelDied, match="the kernel ended"):
        own.carrier.put("x", b"too late")


# forks
def test_a_frozen_fork_that_is_not_there_is_told_at_once(live: Live) -> None:
    for name in ("nowhere", "kernel.json"):
        with live.carrier.connect(name) as there, pytest.raises((OSError, ValueError)):
            frozen.ask(there, {"do": "memory"})
    assert live.run("print(6 * 7)").text == "42\n"


def test_a_process_that_is_no_fork_of_the_kernel_does_not_take_its_place(
    own: Live, tmp_path: Path
) -> None:
    ports = {f"{name}_port": n for n, name in enumerate(relay.PORTS)}
    info = {"transport": "ipc", "ip": str(tmp_path / "k"), "key": b"k", **ports}
    woken = Woken(number=1, pid=os.getpid(), address="/x", log="/x", connection_info=info, keep=())
    kernel = own.carrier.adopt(woken)
    assert kernel.exited.result(WAIT_S) == 1
    assert "no fork of the kernel" in kernel.reason
    kernel.close()
    assert own.run("print(6 * 7)").text == "42\n"


@pytest.mark.anyio
async def test_a_waiter_that_gives_up_leaves_the_others_waiting() -> None:
    manager = async_manager()
    await manager.start_kernel()
    provisioner = manager.provisioner
    assert provisioner is not None
    try:
        first, second = (asyncio.ensure_future(provisioner.wait()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await provisioner.kill()
        assert await asyncio.wait_for(second, WAIT_S) == -9
    finally:
        await manager.shutdown_kernel(now=True)


ORPHANS = """
import subprocess, sys
sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
here = subprocess.Popen(sleeper, stdout=subprocess.PIPE)
away = subprocess.Popen(sleeper, stdout=subprocess.PIPE, start_new_session=True)
for process in (here, away): process.stdout.readline()
print(here.pid, away.pid)
"""


@pytest.mark.parametrize("how", ["close", "exit"])
def test_nothing_is_left_when_it_ends(own: Live, how: str) -> None:
    started = [int(pid) for pid in own.run(ORPHANS).text.split()]
    pids = [own.relay.pid, *(child.pid for child in own.relay.children()), *started]
    folder = Path(own.carrier.broker).parent
    assert folder.is_dir()
    if how == "close":
        own.carrier.close()
    else:
        own.begin("import os; os._exit(0)")
    assert eventually(lambda: gone(*pids))
    assert eventually(lambda: not folder.exists())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel dies with its parent on Linux")
def test_a_relay_that_is_killed_takes_its_kernel_along(own: Live) -> None:
    kernel = own.relay.children()[0].pid
    own.relay.kill()
    shutil.rmtree(Path(own.carrier.broker).parent)  # a container would be gone
    assert own.carrier.exited.result(WAIT_S) is None
    assert "the relay is gone" in own.carrier.reason
    assert not own.manager.is_alive()
    assert eventually(lambda: gone(kernel))


def test_a_relay_that_stands_still_is_given_up() -> None:
    live = launch(silence=0.6)
    try:
        live.relay.suspend()
        assert live.carrier.exited.result(WAIT_S) is None
        assert "no sign of life for 0.6 s" in live.carrier.reason
    finally:
        live.relay.resume()
        live.stop()


def test_a_kernel_at_rest_is_not_given_up() -> None:
    live = launch(silence=0.6)
    try:
        live.run("import time; time.sleep(1.5)")
        assert not live.carrier.exited.done()
    finally:
        live.stop()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["no-such-program", "{connection_file}"], "No such file or directory"),
        ([sys.executable, "-c", "import sys; sys.exit('no ipykernel here')"], "no ipykernel here"),
    ],
)
def test_a_kernel_that_cannot_start_says_why(argv: list[str], said: str) -> None:
    manager = managed(KernelManager, spec(argv))
    try:
        manager.start_kernel()
    except KernelStartError as error:
        assert said in str(error)  # noqa: PT017 (some fail at once, some just after)
    else:
        assert isinstance(manager.provisioner, Relayed)
        carrier = manager.provisioner.carrier
        assert carrier is not None
        assert carrier.exited.result(WAIT_S) == 1
        assert said in carrier.reason
        manager.shutdown_kernel(now=True)


def test_a_place_without_a_relay_says_what_came_instead() -> None:
    manager = managed(KernelManager, spec(command=["echo", "sh: python: not found"]))
    with pytest.raises(KernelStartError, match="sh: python: not found"):
        manager.start_kernel()
    assert not manager.has_kernel
