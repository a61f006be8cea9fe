"""``rlm demo``: what it says, and the tour that is given while weights load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import block

from rlm_kernel import cli
from rlm_kernel.cli import demo_text, fetching, tour
from rlm_kernel.lm import embedded
from rlm_kernel.testing import FakeEndpoint

SEED = 7
RIGHT = demo_text.make(SEED).answer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The answers that the LM will give."""
    given: list[str] = []

    def reply(request: dict[str, Any]) -> str:
        return block(f"n = len(context)\nFINAL_VAR({given.pop(0)} + n - n)")

    with FakeEndpoint(reply) as endpoint:
        monkeypatch.setenv("RLM_BASE_URL", endpoint.base_url)
        monkeypatch.setenv("RLM_MODEL", "fake")
        yield given


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [(RIGHT, 0, "the answer is right"), ("99", 1, f"the answer is wrong: it is {RIGHT}")],
)
def test_the_answer_is_checked_and_what_to_try_next_is_said(
    here: Path,
    answers: list[str],
    capfd: pytest.CaptureFixture[str],
    answer: str,
    status: int,
    said: str,
) -> None:
    answers.append(answer)
    assert cli.main(["demo", "--seed", str(SEED)]) == status
    out, err = capfd.readouterr()
    assert out == f"{answer}\n"
    assert said in err
    [run] = (here / "rlm-runs").glob("2*")
    assert f"rlm why rlm-runs/{run.name} " in err
    assert f"jupyter lab rlm-runs/{run.name}/trajectory.ipynb" in err


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the embedded LM is here; its weights do not come."""
    says = "import sys; print('x: 1 of 2 MB', file=sys.stderr); sys.exit('rlm: no network')"
    monkeypatch.setattr(embedded, "installed", lambda: True)
    monkeypatch.setattr(embedded, "available", lambda: "no weights")
    monkeypatch.setattr(fetching, "COMMAND", (sys.executable, "-c", says))
    monkeypatch.setattr(tour, "READING_SECONDS", 0.0)


@pytest.mark.usefixtures("no_weights")
def test_a_tour_is_given_while_the_weights_load_and_a_failed_download_is_told(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--seed", str(SEED), "--yes"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert "min at 10 Mbit/s" in err
    assert "I look at how the input begins." in err
    assert f"the tour's answer is {RIGHT};" in err
    assert err.endswith("rlm: no network\n")


@pytest.mark.usefixtures("no_weights", "here")
def test_nothing_is_loaded_where_nobody_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["demo"]) == 2
    assert "nobody is there to ask" in capfd.readouterr().err
