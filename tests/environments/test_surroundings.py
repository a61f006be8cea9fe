"""Odd surroundings: folders for temporary files, a working folder that is gone, closed streams."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import block

from rlm_kernel.environments.local.folders import MAX_PARENT, parent_folder, private_folder
from rlm_kernel.environments.local.kernel import variables
from rlm_kernel.errors import KernelStartError
from rlm_kernel.testing import FakeEndpoint

RLM = f"{shlex.quote(sys.executable)} -m rlm_kernel"
RUN = f"{RLM} run What? --context text --quiet --out run"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(lambda request: block("FINAL_VAR(len(context))")) as server:
        yield server


def _shell(
    endpoint: FakeEndpoint, cwd: Path, line: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """A line of a shell in a folder with a context and a task."""
    (cwd / "text").write_text("text")
    (cwd / "tasks.jsonl").write_text('{"question": "q", "context": "text"}')
    env = {k: v for k, v in os.environ.items() if not k.startswith(("RLM_", "OPENAI_"))}
    env |= {"OPENAI_BASE_URL": endpoint.base_url, "OPENAI_API_KEY": "sk-canary", **more}
    return subprocess.run(
        ["/bin/sh", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


def _deep(folder: Path, size: int) -> Path:
    """A folder below it whose path has about this many characters."""
    while len(str(folder)) < size:
        folder /= "x" * min(200, size - len(str(folder)))
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("size", [100, 3800])
def test_a_run_works_whose_folder_for_temporary_files_is_too_long_for_sockets(
    endpoint: FakeEndpoint, tmp_path: Path, size: int
) -> None:
    done = _shell(endpoint, tmp_path, RUN, TMPDIR=str(_deep(tmp_path, size)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


@pytest.mark.parametrize("kind", ["long", "newline", "bytes", "gone", "relative", "read by others"])
def test_sockets_are_in_a_short_plain_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    names = {"long": "x" * 100, "newline": "a\nb", "bytes": "a\udce9", "relative": "a"}
    place = tmp_path / names.get(kind, "gone")
    if kind != "gone":
        place.mkdir()
    monkeypatch.chdir(tmp_path)
    usual = "a" if kind == "relative" else str(place)
    if kind == "read by others":
        monkeypatch.setattr(os, "access", lambda path, mode: str(path) != usual)
    monkeypatch.setattr(tempfile, "tempdir", usual)
    found = parent_folder()
    assert found != usual
    assert os.path.isabs(found)
    assert len(found) <= MAX_PARENT
    assert os.access(found, os.W_OK)


def test_no_folder_at_all_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(KernelStartError, match="let TMPDIR name one of at most 70"):
        parent_folder()


@pytest.mark.anyio
async def test_a_private_folder_is_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("rlm_kernel.environments.local.folders._holds_sockets", lambda place: True)
    async with private_folder() as (folder, _):
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


GONE = "mkdir gone; cd gone; rmdir ../gone; "
TELLS = {
    f"{GONE}{RLM} run What? --context {{}}/text": "the working folder is gone",
    f"{GONE}{RLM} batch {{}}/tasks.jsonl -o results": "the working folder is gone",
    f"{RLM} run What? --context - <&-": "standard input is closed",
    f"{RLM} run ' ' --context text": "the question is empty",
    f"{RLM} local fetch <&-": "nobody is there to ask",
    f"ulimit -n 40; {RUN}": "may have 40 open files",
    f"ulimit -n 20; {RLM} doctor": "may have 20 open files",
}


@pytest.mark.parametrize("line", TELLS)
def test_what_cannot_be_done_here_is_said_in_one_line(
    endpoint: FakeEndpoint, tmp_path: Path, line: str
) -> None:
    env = {"RLM_CACHE": str(tmp_path / "cache"), "HF_HUB_CACHE": str(tmp_path / "cache")}
    done = _shell(endpoint, tmp_path, line.format(tmp_path), **env)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("rlm: ")
    assert TELLS[line] in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "status", "out"),
    [
        (f"{RUN} <&- 2>&-", 0, "4\n"),
        (f"{RUN} <&- >&- 2>&-", 1, ""),
        (f"{RLM} batch tasks.jsonl -o results --no-notebook <&- >&- 2>&-", 1, ""),
        (f"{GONE}{RLM} show {{}} 2>&-", 1, ""),
        (f"{RLM} show nothing <&- >&- 2>&-", 2, ""),
    ],
)
def test_closed_streams_cost_no_run_and_get_no_file_of_ours(
    endpoint: FakeEndpoint, tmp_path: Path, line: str, status: int, out: str
) -> None:
    done = _shell(endpoint, tmp_path, line.format(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (status, out, "")
    for journal in tmp_path.rglob("journal.jsonl"):
        assert all(line.startswith('{"') for line in journal.read_text().splitlines())
        assert '"sealed"' in journal.read_text()


def test_a_kernel_is_given_what_its_host_set_for_it_and_no_login(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "JPY_SESSION_NAME": "/home/me/a.ipynb",
        "CUDA_VISIBLE_DEVICES": "1",
        "XDG_CACHE_HOME": "/scratch/cache",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "no_proxy": "localhost",
    }
    kept_out = {
        "http_proxy": "http://me:secret@proxy.example:3128",
        "JUPYTERHUB_API_TOKEN": "secret",
        "OPENAI_API_KEY": "secret",
    }
    for name, value in {**given, **kept_out}.items():
        monkeypatch.setenv(name, value)
    found = variables({})
    assert {name: found.get(name) for name in given} == given
    assert found.keys().isdisjoint(kept_out)
