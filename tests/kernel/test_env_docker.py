"""``%rlm env`` in a notebook that runs: from this machine into a container, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness import LM, Front, block, running_kernel
from hostimage import host_image
from revived import begin, small, sources

from rlm_kernel.provisioners.engine import connect

pytestmark = pytest.mark.needs("docker")

WHERE = "import os; print(os.getcwd())"


@pytest.fixture
def boxed(lm: LM, tmp_path: Path) -> Iterator[Front]:
    """A notebook that would put a container's cells into the tests' own image."""
    with closing(connect()) as client:
        image = host_image(client)
    engine = {"DOCKER_HOST": os.environ["DOCKER_HOST"]} if "DOCKER_HOST" in os.environ else {}
    with running_kernel(tmp_path, env={**lm.environment, **engine, "RLM_IMAGE": image}) as kernel:
        yield kernel.front()


def test_a_notebook_moves_into_a_container_and_back(lm: LM, boxed: Front, tmp_path: Path) -> None:
    (tmp_path / "notebooks" / "notes.txt").write_text("the notes")
    boxed.run("%rlm context notes.txt\nmine = 1")
    outside = boxed.run(WHERE).stream()
    for environment, where in (("docker", "/work\n"), ("local", outside)):
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


def test_a_context_that_a_cell_made_moves_too(boxed: Front) -> None:
    boxed.run("context = ['made', 'here']")
    assert boxed.run("%rlm env docker").status == "ok"
    assert boxed.run("context").result == "['made', 'here']"


def test_the_key_of_the_notebook_is_not_in_the_container(boxed: Front) -> None:
    boxed.run("%rlm env docker")
    seen = boxed.run("import os; print('canary-key' + '-123' in str(dict(os.environ)))")
    assert seen.stream() == "False\n"


def test_without_an_engine_the_notebook_stays_where_it_is(lm: LM, tmp_path: Path) -> None:
    env = {**lm.environment, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with running_kernel(tmp_path, env=env) as kernel:
        front = kernel.front()
        front.run("mine = 1")
        refused = front.run("%rlm env docker")
        assert "no Docker engine answers" in refused.error[1]
        assert front.run("mine").result == "1"


def test_a_trajectory_from_here_is_run_again_in_a_container(boxed: Front, tmp_path: Path) -> None:
    notebook = small(tmp_path / "notebooks" / "run").trajectory
    boxed.run("%rlm env docker")
    begun = boxed.run("%rlm replay run")
    assert "the trajectory's code is executed now: in docker, network: none" in begun.stream()
    *cells, verdict = sources(notebook)[begin(notebook) + 1 :]
    for cell in cells:
        boxed.run(cell, stop_on_error=False)
    assert boxed.run(verdict).shown.startswith("equal: 5 cells")
    assert boxed.run(WHERE).stream() == "/work\n"
