"""``rlm eval`` as a shell sees it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel import cli
from rlm_kernel.testing import FakeEndpoint, Say

Main = Callable[..., tuple[int, str, str]]


def _reply(request: dict[str, Any]) -> Say:
    text = (
        "```python\nwords = len(context)\nFINAL_VAR(words)\n```" if request.get("stream") else "no"
    )
    return Say(text, {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25})


@pytest.fixture
def endpoint() -> Iterator[FakeEndpoint]:
    with FakeEndpoint(_reply) as server:
        yield server


@pytest.fixture
def main(
    endpoint: FakeEndpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Main:
    """The command in this process: exit status and both outputs."""
    monkeypatch.setenv("RLM_BASE_URL", endpoint.base_url)
    monkeypatch.setenv("RLM_API_KEY", "sk-canary")
    monkeypatch.setenv("RLM_MODEL", "fake")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, str, str]:
        try:
            status = cli.main(["eval", *words])
        except SystemExit as ended:
            status = int(str(ended.code))
        out, err = capsys.readouterr()
        return status, out, " ".join(err.split())

    return run


def test_it_prints_the_table_and_where_the_scores_are_and_goes_on(
    main: Main, endpoint: FakeEndpoint, tmp_path: Path
) -> None:
    words = ("needles/value", "--length", "1e3", "--seeds", "1", "--baseline", "window",
             "--no-notebook")  # fmt: skip
    status, out, err = main(*words)
    assert (status, out) == (0, f"{tmp_path / 'rlm-eval' / 'scores.csv'}\n"), err
    assert "needles 1e3 rlm 1 0% (0–79) 1 15 1.0" in err
    assert "needles 1e3 window 1 0% (0–79) 1 15 1.0" in err
    assert "2 of 2 tasks answered · 0 of 2 right" in err
    asked = len(endpoint.log)
    status, out, err = main(*words, "--json", "--quiet")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert [row["system"] for row in told["rows"]] == ["rlm", "window", "rlm", "window"]
    assert told["rows"][0]["cost"] == 0.25
    chats = [each for each in endpoint.log[asked:] if each.place.endswith("completions")]
    assert chats == []
    written = [path for path in (tmp_path / "rlm-eval").rglob("*") if path.is_file()]
    assert [path.name for path in written if b"sk-canary" in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing",), "there is no set 'nothing': give any of asked, labels"),
        (("asked", "--length", "long"), "--length='long': give characters such as 1e5"),
        (("asked", "--seeds", "many"), "--seeds='many': give a whole number"),
        (("asked", "--baseline", "me"), "baseline='me': give any of window, rlms, dspy"),
        (("a.jsonl", "asked"), "a.jsonl: give one file of tasks alone, or sets"),
        (("a.jsonl",), "a.jsonl: the tasks cannot be read"),
    ],
)
def test_wrong_words_exit_with_2_before_anything_is_asked(
    main: Main, endpoint: FakeEndpoint, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    status, out, err = main(*words)
    assert (status, out) == (2, "")
    assert told in err
    assert endpoint.log == []
    assert not (tmp_path / "rlm-eval").exists()


def test_a_list_names_the_sets_and_what_is_held_out(main: Main) -> None:
    status, out, _ = main("--list")
    assert status == 0
    assert "asked/join (held out)" in out
    status, out, _ = main("--list", "--json")
    found = {each["set"]: each for each in json.loads(out)}
    assert found["ruler"]["lengths"] == ["32kt", "128kt", "1mt"]
    assert all(kind["sources"] for kind in found["asked"]["kinds"])
