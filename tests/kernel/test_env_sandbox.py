"""``%rlm env`` in a notebook that runs: from this machine into a sandbox, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import LM, Front, block, running_kernel
from replay_helpers import begin, small, sources

from tests.modals import image, use_plane

pytestmark = pytest.mark.needs("docker")

WHERE = "import os; print(os.getcwd())"


@pytest.fixture(params=["docker", pytest.param("modal", marks=pytest.mark.needs("plane"))])
def sandbox(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def boxed(lm: LM, tmp_path: Path, sandbox: str) -> Iterator[Front]:
    """A notebook that would put a sandbox's cells into the tests' own image."""
    if sandbox == "modal":
        more = use_plane().environment
    else:
        more = {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}
        more["RLM_IMAGE"] = image()
    with running_kernel(tmp_path, env={**lm.environment, **more}) as kernel:
        yield kernel.front()


def test_a_notebook_moves_into_a_sandbox_and_back(
    lm: LM, boxed: Front, tmp_path: Path, sandbox: str
) -> None:
    (tmp_path / "notebooks" / "notes.txt").write_text("the notes")
    boxed.run("%rlm context notes.txt\nmine = 1")
    outside = boxed.run(WHERE).stream()
    for environment, where in ((sandbox, "/work\n"), ("local", outside)):
        moved = boxed.run(f"%rlm env {environment}")
        assert moved.status == "ok", moved.error
        assert "mine" in moved.shown.partition("lost: ")[2]
        assert "context is there" in moved.shown
        assert boxed.run(WHERE).stream() == where
        assert boxed.run("context").result == "'the notes'"
        assert boxed.run("'mine' in dir()").result == "False"
        lm.say(block("print(context)\nFINAL_VAR(context + llm_query('x'))"))
        assert boxed.run("%%rlm\nWhat?").result == "the notes<x>"
        boxed.run("mine = 2")


def test_a_context_that_a_cell_made_moves_too(boxed: Front, sandbox: str) -> None:
    boxed.run("context = ['made', 'here']")
    assert boxed.run(f"%rlm env {sandbox}").status == "ok"
    assert boxed.run("context").result == "['made', 'here']"


def test_the_keys_of_the_notebook_are_not_in_the_sandbox(boxed: Front, sandbox: str) -> None:
    boxed.run(f"%rlm env {sandbox}")
    seen = boxed.run("import os; seen = str(dict(os.environ)); 'canary-key' + '-123' in seen")
    assert seen.result == "False"
    assert boxed.run("'MODAL_' in seen").result == "False"


def test_without_an_engine_the_notebook_stays_where_it_is(lm: LM, tmp_path: Path) -> None:
    env = {**lm.environment, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with running_kernel(tmp_path, env=env) as kernel:
        front = kernel.front()
        front.run("mine = 1")
        refused = front.run("%rlm env docker")
        assert "no Docker engine answers" in refused.error[1]
        assert front.run("mine").result == "1"


@pytest.mark.needs("plane")
def test_without_a_token_the_notebook_stays_where_it_is(lm: LM, tmp_path: Path) -> None:
    env = {**lm.environment, **use_plane().environment, "MODAL_TOKEN_SECRET": "as-canary"}
    with running_kernel(tmp_path, env=env) as kernel:
        front = kernel.front()
        front.run("mine = 1")
        refused = front.run("%rlm env modal")
        assert "Modal takes no token of ours" in refused.error[1]
        assert "as-canary" not in refused.error[1]
        assert front.run("mine").result == "1"


def test_a_trajectory_from_here_is_run_again_in_a_sandbox(
    boxed: Front, tmp_path: Path, sandbox: str
) -> None:
    notebook = small(tmp_path / "notebooks" / "run").trajectory
    boxed.run(f"%rlm env {sandbox}")
    begun = boxed.run("%rlm replay run")
    assert f"the trajectory's code now runs in {sandbox}, network: none" in begun.stream()
    *cells, verdict = sources(notebook)[begin(notebook) + 1 :]
    for cell in cells:
        boxed.run(cell, stop_on_error=False)
    assert boxed.run(verdict).shown.startswith("equal: 5 cells")
    assert boxed.run(WHERE).stream() == "/work\n"
