"""The gateway alone: what it answers to whom, and when it ends."""

from __future__ import annotations

import ast
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tunnelled import ECHO, Sandbox, eventually

from rlm_kernel.environments.pipe.tunnel import gateway_command
from rlm_kernel.remote import gateway
from rlm_kernel.remote.gateway import KEPT, MAX_INPUT, MAX_PIPES, MAX_PROGRAM

WAIT_S = 30.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    sandbox = Sandbox(tmp_path_factory.mktemp("work"))
    ask(sandbox, "PUT", "/pipes/keeper", ECHO.encode())  # it would end after its last program
    yield sandbox
    sandbox.end()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    """Makes gateways for one test."""
    made: list[Sandbox] = []

    def make(**options: Any) -> Sandbox:
        made.append(Sandbox(tmp_path / "work", **options))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.end()


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.body = response.read()
        self.at = response.headers["Rlm-At"]
        self.headers = response.headers


def ask(
    sandbox: Sandbox, method: str, path: str, body: bytes | None = None, **headers: str
) -> Answer:
    given = {"Authorization": f"Bearer {sandbox.token}", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=WAIT_S)
    try:
        connection.request(method, path, body, {k: v for k, v in given.items() if v})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def read(sandbox: Sandbox, name: str, size: int) -> bytes:
    """The first ``size`` bytes that a program says."""
    data = b""
    while len(data) < size:
        data += read_from(sandbox, name, len(data))
    return data


def line(sandbox: Sandbox, name: str) -> bytes:
    """The first line that a program says, which may come in pieces."""
    data = b""
    while not data.endswith(b"\n"):
        data += read_from(sandbox, name, len(data))
    return data


def read_from(sandbox: Sandbox, name: str, start: int) -> bytes:
    answer = ask(sandbox, "GET", f"/pipes/{name}?from={start}&wait=20")
    assert answer.status == 200, answer.body
    return answer.body


def end_of(sandbox: Sandbox, name: str, start: int = 0) -> dict[str, Any]:
    answer = ask(sandbox, "GET", f"/pipes/{name}?from={start}&wait=20")
    assert answer.status == 410
    said: dict[str, Any] = json.loads(answer.body)
    return said


# who is let in


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic TOKEN", "TOKEN", "\xff"])
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS"])
def test_without_the_token_everything_is_refused_alike(
    shared: Sandbox, method: str, given: str
) -> None:
    given = given.replace("TOKEN", shared.token)
    body = b"x" if method in ("PUT", "POST") else None
    for path in ("/", "/pipes/keeper", "/pipes/keeper?from=0&wait=1", "/pipes/none", "/else"):
        answer = ask(shared, method, path, body, Authorization=given)
        assert answer.status == 401
        assert answer.body == (b"" if method == "HEAD" else b"Unauthorized")


def test_a_stranger_cannot_have_a_body_collected(shared: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=WAIT_S) as line:
        line.sendall(b"POST /pipes/a HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\nx")
        assert b"401" in line.recv(1000)  # before the rest came


def test_the_gateway_is_told_only_a_digest_of_the_token() -> None:
    command = gateway_command("secret-token", port=8000)
    assert "secret-token" not in "".join(command)
    assert sum(map(len, command)) < 60_000


def test_the_gateway_needs_python_3_9_and_tornado_alone() -> None:
    source = Path(gateway.__file__).read_text(encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(source, feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(str(node.module).partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"tornado"}


def test_a_python_without_tornado_is_told_what_to_install(tmp_path: Path) -> None:
    _, *command = gateway_command("token", port=0, folder=str(tmp_path))
    bare = [sys.executable, "-S", *command]  # without installed packages
    ran = subprocess.run(bare, capture_output=True, timeout=WAIT_S, check=False)
    assert b"No module named 'tornado'; install ipykernel there" in ran.stderr


# programs


def test_a_program_is_started_once_however_often_it_is_asked_for(shared: Sandbox) -> None:
    program = b"import os, signal; os.write(1, b'%d' % os.getpid()); signal.pause()"
    statuses = [ask(shared, "PUT", "/pipes/once", program).status for _ in range(3)]
    assert statuses == [201, 200, 200]
    assert int(read(shared, "once", 2)) == newest(shared).pid
    count = len(children(shared))
    assert ask(shared, "PUT", "/pipes/once", b"print()").status == 409
    ask(shared, "DELETE", "/pipes/once")
    assert end_of(shared, "once", 0)["code"] == -15
    assert ask(shared, "PUT", "/pipes/once", program).status == 200
    assert len(children(shared)) == count - 1


def newest(sandbox: Sandbox) -> psutil.Process:
    return max(children(sandbox), key=lambda child: child.pid)


def children(sandbox: Sandbox) -> list[psutil.Process]:
    return psutil.Process(sandbox.process.pid).children()


def test_its_end_is_told_with_its_exit_code_and_last_words(shared: Sandbox) -> None:
    program = b"import sys; print('out'); sys.exit('e' * 9000 + ' last words')"
    ask(shared, "PUT", "/pipes/ends", program)
    assert read(shared, "ends", 4) == b"out\n"
    for _ in range(2):
        said = end_of(shared, "ends", 4)
        assert said["code"] == 1
        assert said["stderr"].endswith("e last words\n")
        assert len(said["stderr"]) < 5000
    answer = ask(shared, "POST", "/pipes/ends?at=0&wait=20", b"too late")
    assert answer.status == 410


def test_one_that_ignores_the_request_to_end_is_killed(shared: Sandbox) -> None:
    program = b"import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write(1, b'1')"
    ask(shared, "PUT", "/pipes/stays", program + b"; time.sleep(600)")
    read(shared, "stays", 1)
    ask(shared, "DELETE", "/pipes/stays")
    assert end_of(shared, "stays")["code"] == -9


def test_there_are_no_more_programs_than_the_bound(start: Callable[..., Sandbox]) -> None:
    sandbox = start()
    program = b"import os; os.read(0, 1)"
    for number in range(MAX_PIPES):
        assert ask(sandbox, "PUT", f"/pipes/{number}", program).status == 201
    assert ask(sandbox, "PUT", "/pipes/more", program).status == 429
    ask(sandbox, "DELETE", "/pipes/0")
    end_of(sandbox, "0")
    assert ask(sandbox, "PUT", "/pipes/more", program).status == 201


INSIDE = """
import json, os, resource
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
try:
    readable = bool(open(f"/proc/{os.getppid()}/environ", "rb").read())
except PermissionError:
    readable = False
pids = resource.getrlimit(resource.RLIMIT_NPROC)
print(json.dumps([os.getuid(), os.getgid(), os.getgroups(), pids, int(status["NoNewPrivs"]),
    os.getcwd(), os.environ["HOME"], readable]))
"""


PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin")
"""One that every user can run; ours may lie in a home."""


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or PYTHON is None,
    reason="only root can give away its rights",
)
def test_programs_have_the_rights_that_they_are_given(tmp_path: Path) -> None:
    folder = f"/tmp/gateway-{tmp_path.parent.name}-{os.getpid()}"  # tmp_path is closed to others
    sandbox = Sandbox(folder, python=PYTHON, user=(65534, 65534), pids=99)
    try:
        ask(sandbox, "PUT", "/pipes/a", INSIDE.encode())
        said = json.loads(line(sandbox, "a"))
        assert said == [65534, 65534, [], [99, 99], 1, folder, folder, False]
    finally:
        sandbox.end()
        os.rmdir(folder)


# output


def test_output_is_given_again_until_it_has_arrived(shared: Sandbox) -> None:
    ask(shared, "PUT", "/pipes/out", b"import os; os.write(1, b'0123456789'); os.read(0, 1)")
    assert read(shared, "out", 10) == b"0123456789"
    assert ask(shared, "GET", "/pipes/out?from=0&wait=20").body == b"0123456789"
    answer = ask(shared, "GET", "/pipes/out?from=4&wait=20")
    assert (answer.body, answer.at) == (b"456789", "4")
    assert ask(shared, "GET", "/pipes/out?from=3&wait=20").status == 416  # it had arrived
    assert ask(shared, "GET", "/pipes/out?from=11&wait=20").status == 416  # not there yet
    assert ask(shared, "GET", "/pipes/out?from=10&wait=0").status == 204
    ask(shared, "DELETE", "/pipes/out")


def test_a_poll_is_answered_as_soon_as_there_is_something(shared: Sandbox) -> None:
    ask(shared, "PUT", "/pipes/poll", ECHO.encode())
    answers: list[Answer] = []
    poll = threading.Thread(
        target=lambda: answers.append(ask(shared, "GET", "/pipes/poll?from=0&wait=60"))
    )
    poll.start()
    ask(shared, "POST", "/pipes/poll?at=0&wait=20", b"now")
    poll.join(WAIT_S)
    assert answers[0].body == b"now"
    ask(shared, "DELETE", "/pipes/poll")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_program_waits_while_its_output_does_not_arrive(shared: Sandbox) -> None:
    ask(shared, "PUT", "/pipes/flood", b"import os\nwhile True: os.write(1, bytes(1 << 16))")
    program = newest(shared)

    def written() -> int:
        return program.io_counters().write_chars

    assert eventually(lambda: written() > KEPT)
    for _ in range(20):
        assert ask(shared, "GET", "/pipes/flood?from=0&wait=0").status == 200
    assert written() < KEPT + (1 << 20)
    before = written()
    ask(shared, "GET", f"/pipes/flood?from={1 << 20}&wait=0")
    assert eventually(lambda: written() > before)
    ask(shared, "DELETE", "/pipes/flood")


# input


def test_input_that_comes_again_changes_nothing(shared: Sandbox) -> None:
    ask(shared, "PUT", "/pipes/in", ECHO.encode())
    for at, data in ((0, b"abc"), (0, b"abc"), (1, b"bcdef"), (0, b"a"), (6, b"")):
        answer = ask(shared, "POST", f"/pipes/in?at={at}&wait=20", data)
        assert answer.status == 200
    assert answer.at == "6"
    assert ask(shared, "POST", "/pipes/in?at=7&wait=20", b"h").status == 409
    assert ask(shared, "POST", "/pipes/in?at=6&wait=20", b"gh").at == "8"
    assert read(shared, "in", 8) == b"abcdefgh"
    ask(shared, "DELETE", "/pipes/in")


def test_input_that_is_not_taken_is_told_by_its_offset(shared: Sandbox) -> None:
    program = b"import os, time\nos.write(1, b'1')\nos.read(0, 1)\ntime.sleep(600)"
    ask(shared, "PUT", "/pipes/slow", program)
    answer = ask(shared, "POST", "/pipes/slow?at=0&wait=1", bytes(1 << 20))
    assert answer.status == 200
    assert 0 < int(answer.at) < 1 << 20
    ask(shared, "DELETE", "/pipes/slow")


@pytest.mark.parametrize(
    ("method", "limit"), [("PUT", MAX_PROGRAM), ("POST", MAX_INPUT)], ids=["PUT", "POST"]
)
def test_a_body_over_the_limit_is_refused_before_it_comes(
    shared: Sandbox, method: str, limit: int
) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), timeout=WAIT_S) as line:
        head = f"{method} /pipes/big?at=0&wait=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer"
        line.sendall(f"{head} {shared.token}\r\nContent-Length: {limit + 1}\r\n\r\n".encode())
        assert b"413" in line.recv(1000)


def test_a_body_of_unknown_length_is_refused(shared: Sandbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", shared.port, timeout=WAIT_S)
    connection.putrequest("POST", "/pipes/a?at=0&wait=1")
    connection.putheader("Authorization", f"Bearer {shared.token}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()  # no body: the gateway does not wait for it
    assert connection.getresponse().status == 411
    connection.close()


@pytest.mark.parametrize(
    "query", ["", "from=-1&wait=1", "from=x&wait=1", "from=0", "from=0&wait=1e9"]
)
def test_what_is_no_number_is_refused(shared: Sandbox, query: str) -> None:
    ask(shared, "PUT", "/pipes/number", ECHO.encode())
    assert ask(shared, "GET", f"/pipes/number?{query}").status == 400
    ask(shared, "DELETE", "/pipes/number")


def test_an_unknown_pipe_and_an_unknown_path_are_not_there(shared: Sandbox) -> None:
    for path in ("/pipes/none?from=0&wait=1", "/", "/pipes/..%2fx", "/pipes/" + "x" * 65):
        assert ask(shared, "GET", path).status == 404


# its end


def test_it_ends_with_its_programs_when_nobody_who_may_asks_any_more(
    start: Callable[..., Sandbox],
) -> None:
    sandbox = start(patience_s=1.0)
    program = "import os, subprocess, sys\nsleep = [sys.executable, '-c', 'input()']\n"
    program += "child = subprocess.Popen(sleep, stdin=subprocess.PIPE, start_new_session=True)\n"
    program += "os.write(1, b'%d' % child.pid)\nos.read(0, 1)"
    ask(sandbox, "PUT", "/pipes/a", program.encode())
    left = psutil.Process(int(read(sandbox, "a", 2)))

    def knock() -> bool:
        try:
            ask(sandbox, "GET", "/pipes/a?from=0&wait=1", Authorization="Bearer wrong")
        except OSError:
            return True
        return False

    assert eventually(knock)
    assert sandbox.process.wait(WAIT_S) == 0
    assert not left.is_running()


def test_it_ends_soon_after_its_last_program(start: Callable[..., Sandbox]) -> None:
    sandbox = start(patience_s=600)
    ask(sandbox, "PUT", "/pipes/a", b"")
    assert end_of(sandbox, "a")["code"] == 0
    assert sandbox.process.wait(WAIT_S) == 0


def test_output_that_has_not_arrived_keeps_it(start: Callable[..., Sandbox]) -> None:
    sandbox = start(patience_s=600)
    ask(sandbox, "PUT", "/pipes/a", b"print('x')")
    ask(sandbox, "PUT", "/pipes/b", b"")
    end_of(sandbox, "b")
    with pytest.raises(subprocess.TimeoutExpired):
        sandbox.process.wait(3)
    assert read(sandbox, "a", 2) == b"x\n"
    end_of(sandbox, "a", 2)
    assert sandbox.process.wait(WAIT_S) == 0
