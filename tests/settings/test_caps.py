"""Caps of an administrator: no setting loosens them, wherever it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import ask_here, script

from rlm_kernel import Limits
from rlm_kernel.batch import run_batch
from rlm_kernel.errors import UsageError
from rlm_kernel.rlm.consent import Decision, Proposal
from rlm_kernel.session.consenting import check_consent, consent_by
from rlm_kernel.settings import caps, config
from rlm_kernel.settings.resolved import OPTIONS, Layer, Resolved, Wrote, in_force

Capped = Callable[..., Path]


@pytest.fixture
def capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Capped]:
    """Writes caps where an administrator does."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(caps, "folders", lambda: [str(folder)])

    def capped(**section: Any) -> Path:
        file = folder / "jupyter_rlm_config.json"
        file.write_text(json.dumps({"RLMCaps": section}))
        caps.load.cache_clear()
        return file

    yield capped
    caps.load.cache_clear()


def _force(**given: Any) -> Resolved:
    return in_force(given, environ={})


def test_where_nothing_is_set_the_cap_is_in_force(capped: Capped) -> None:
    file = capped(
        confirm="first",
        base_url=["http://a/v1", "http://b/v1"],
        model=["one", "two"],
        max_cost=1,
        max_seconds=60,
        environment=["docker"],
    )
    force = _force()
    assert (force.settings.confirm, force.settings.environment) == ("first", "docker")
    assert (force.settings.base_url, force.settings.model) == ("http://a/v1", "one")
    assert (force.limits.cost, force.limits.seconds, force.limits.turns) == (1, 60, 20)
    assert str(file) in force.origins["max_cost"]


@pytest.mark.parametrize(
    ("cap", "within", "beyond"),
    [
        ({"confirm": "first"}, {"confirm": "always"}, {"confirm": "off"}),
        ({"base_url": ["http://a/v1"]}, {"base_url": "http://a/v1/"}, {"base_url": "http://a/v1x"}),
        ({"base_url": ["http://a/v1"]}, {"sub_base_url": "http://a/v1"}, {"sub_base_url": "http://c"}),
        ({"model": ["one", "two"]}, {"model": "two"}, {"model": "three"}),
        ({"model": ["one"]}, {"sub_model": "one"}, {"sub_model": "three"}),
        ({"environment": ["docker"]}, {"environment": "docker"}, {"environment": "local"}),
        ({"network": ["none"]}, {"network": "none"}, {"network": "bridge"}),
        ({"max_cost": 1.0}, {"max_cost": 0.5}, {"max_cost": 1.01}),
        ({"max_turns": 3}, {"max_turns": 2}, {"max_turns": 4}),
    ],
)  # fmt: skip
def test_a_value_within_a_cap_is_taken_and_one_beyond_refused_wherever_it_is_written(
    capped: Capped, cap: dict[str, Any], within: dict[str, Any], beyond: dict[str, Any]
) -> None:
    file = capped(**cap)
    [(name, value)] = beyond.items()
    text = str(value)
    sandbox = {"environment": "docker"} if OPTIONS[name].sandboxes else {}
    _force(**within, **sandbox)
    places: list[dict[str, Any]] = [
        {"given": beyond | sandbox},
        {"layers": [Layer("--{option}", {name: text}, Wrote.NOTEBOOK)]},
        {"layers": [Layer("%rlm", {name: text}, Wrote.NOTEBOOK)]},
        {"environ": {OPTIONS[name].variable: text}},
        {"config": [Layer("~/.jupyter/jupyter_rlm_config.py", beyond)]},
    ]
    for place in places:
        with pytest.raises(UsageError, match="an administrator allows") as refused:
            in_force(**{"environ": {}, **place})
        assert str(file) in str(refused.value)


def test_a_limit_cannot_be_lifted_nor_left_to_its_default(capped: Capped) -> None:
    capped(max_cost=1, max_tokens=1000)
    with pytest.raises(UsageError, match=r"max_cost=none"):
        in_force(layers=[Layer("--{option}", {"max_cost": "none"})], environ={})
    assert in_force(limits=Limits(turns=2), environ={}).limits == Limits(
        turns=2, cost=1, tokens=1000
    )
    assert in_force(limits=Limits(cost=0.5), environ={}).limits.cost == 0.5
    with pytest.raises(UsageError, match="1 at most"):
        in_force(limits=Limits(cost=9), environ={})


def test_openai_s_own_variable_names_no_other_endpoint(capped: Capped) -> None:
    capped(base_url=["http://a/v1"])
    environ = {"OPENAI_BASE_URL": "http://c/v1", "OPENAI_API_KEY": "k"}
    settings = in_force(environ=environ).settings
    assert (settings.base_url, settings.api_key) == ("http://a/v1", None)


def test_a_cell_asks_no_other_model(capped: Capped, tmp_path: Path) -> None:
    lm = script("print(llm_query('x', model='dear'), context)", "FINAL_VAR('y')")
    capped(sub_model=["cheap"])
    result = ask_here(lm, tmp_path / "run")
    assert result.response == "y"
    assert "an administrator allows cheap alone" in result.trajectory.read_text()


def test_caps_of_two_files_hold_together(capped: Capped, tmp_path: Path) -> None:
    first = capped(max_cost=2, model=["a", "b"])
    (first.parent / "jupyter_rlm_config.py").write_text(
        "c = get_config()\nc.RLMCaps.max_cost = 3.0\nc.RLMCaps.model = ['b', 'c']\n"
    )
    caps.load.cache_clear()
    assert (_force().limits.cost, _force().settings.model) == (2, "b")


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"max_cots": 1}, "did you mean 'max_cost'"),
        ({"kernel": ["python3"]}, "cannot be capped"),
        ({"confirm": "sometimes"}, "off or first or always"),
        ({"model": []}, "a list of names"),
        ({"max_cost": None}, "give a number"),
        ({"unattended": ["local"]}, "no sandbox"),
    ],
)
def test_caps_that_are_wrong_let_nothing_run(
    capped: Capped, section: dict[str, Any], said: str
) -> None:
    capped(**section)
    for _ in range(2):
        with pytest.raises(UsageError, match=said):
            _force()


def test_they_are_read_once(capped: Capped) -> None:
    file = capped(max_cost=1)
    assert _force().limits.cost == 1
    file.unlink()
    assert _force().limits.cost == 1


def test_no_variable_leads_to_other_caps_and_a_user_s_file_has_none(
    capped: Capped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capped(max_cost=1)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "jupyter_rlm_config.json").write_text(json.dumps({"RLMCaps": {"max_cost": 100}}))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(mine))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(mine))
    monkeypatch.setenv("JUPYTER_NO_CONFIG", "1")
    caps.load.cache_clear()
    assert _force().limits.cost == 1
    with pytest.raises(UsageError, match="counts in these folders only"):
        config.load([mine])


async def _decide(proposal: Proposal) -> Decision:
    return Decision("accepted", proposal.source)


def test_a_sandbox_may_run_unasked_where_an_administrator_allows_it(capped: Capped) -> None:
    capped(confirm="always")
    with pytest.raises(UsageError, match=r"RLMCaps\.unattended") as refused:
        check_consent(_force(environment="docker"), None)
    assert "--confirm off" not in str(refused.value)
    capped(confirm="always", unattended=["docker"])
    check_consent(_force(environment="docker"), None)
    assert consent_by(_force(environment="docker"), None).mode == "off"
    assert consent_by(_force(environment="docker"), _decide).mode == "always"
    for others in ({"environment": "local"}, {"environment": "docker", "confirm": "always"}):
        with pytest.raises(UsageError):
            check_consent(_force(**others), None)


def test_a_batch_is_refused_before_its_first_request(capped: Capped, tmp_path: Path) -> None:
    capped(confirm="first")
    lm = script("FINAL_VAR('y')")
    with pytest.raises(UsageError, match="nobody is here who can"):
        run_batch([{"question": "What?", "context": "x"}], tmp_path / "out", model=lm)
    assert lm.asked == []
