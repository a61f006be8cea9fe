"""Whole runs whose cells run in containers, through ``RLM``, ``replay`` and ``rlm run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import ask, check_whole, of, script, told

from rlm_kernel import ContextError, UsageError, cli
from rlm_kernel.events import CellRan
from rlm_kernel.record import journal

pytestmark = pytest.mark.needs("docker")

FULL = """
print(len(context))
open("/work/big", "wb").write(bytes(20 << 20))
"""


def needy(url: str) -> str:
    return str(httpx.URL(url))


@pytest.fixture
def docker(image: str) -> dict[str, Any]:
    """The settings that put cells into a container."""
    return {"environment": "docker", "image": image}


def test_a_full_work_folder_is_told_and_the_run_goes_on(
    docker: dict[str, Any], tmp_path: Path
) -> None:
    lm = script(FULL, "print(context)\nFINAL_VAR(context + llm_query('still'))")
    result = ask(lm, tmp_path / "run", "the text", tmpfs="16m", **docker)
    assert (result.status, result.response) == ("answered", "the text<still>")
    assert "No space left on device" in told(lm, 2)
    check_whole(result)


def test_a_context_that_does_not_fit_names_the_setting(
    docker: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ContextError, match=r"No space left on device.*16m.*`tmpfs`"):
        ask(script(), tmp_path / "run", "x" * (20 << 20), tmpfs="16m", **docker)


def test_a_childs_context_that_does_not_fit_is_an_error_in_the_parents_cell(
    docker: dict[str, Any], tmp_path: Path
) -> None:
    lm = script(
        "print(context)\nrlm_query('child?', 'x' * (20 << 20))",
        "FINAL_VAR(context + llm_query('still'))",
    )
    result = ask(lm, tmp_path / "run", "the text", tmpfs="16m", **docker)
    assert (result.status, result.response) == ("answered", "the text<still>")
    assert "`tmpfs`" in told(lm, 2)
    check_whole(result)


def test_a_package_that_a_tool_needs_is_put_into_the_image_or_named(
    docker: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"tool 'needy'.*package httpx.*the setting `packages`"):
        ask(script(), tmp_path / "run", tools={"needy": needy}, **docker)
    assert not of(CellRan, journal.read(tmp_path / "run" / "journal.jsonl").events)


def test_without_an_engine_the_setting_is_refused_kindly(
    docker: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UsageError, match="no Docker engine answers"):
        ask(script(), tmp_path / "run", **docker)


def test_without_an_engine_the_command_ends_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    (tmp_path / "text").write_text("some text")
    where = ["--context", str(tmp_path / "text"), "--out", str(tmp_path / "run")]
    lm = ["--base-url", "http://127.0.0.1:9/v1", "--model", "none"]
    assert cli.main(["run", "What?", "--env", "docker", *where, *lm]) == 2
    said = capsys.readouterr()
    assert "no Docker engine answers" in said.err
    assert said.out == ""
