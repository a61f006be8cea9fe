"""What is in force, and where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlm_kernel import Limits, UsageError
from rlm_kernel.settings import Settings, in_force


def test_with_nothing_set_the_embedded_lm_and_the_default_limits_hold() -> None:
    force = in_force(environ={})
    assert (force.settings, force.limits, force.origins) == (Settings(), Limits(), {})
    assert force.settings.embedded


def test_an_argument_wins_over_the_environment() -> None:
    environ = {"RLM_MODEL": "b", "RLM_MAX_TURNS": "9"}
    force = in_force({"model": "a", "max_turns": 3}, environ=environ)
    assert (force.settings.model, force.limits.turns) == ("a", 3)
    assert force.origins["model"] == "given"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("RLM_MODEL", "m", "model", "m"),
        ("RLM_SUB_MODEL", "s", "sub_model", "s"),
        ("RLM_BASE_URL", "http://x/v1", "base_url", "http://x/v1"),
        ("RLM_TEMPERATURE", "0.2", "temperature", 0.2),
        ("RLM_RETRIES", "0", "retries", 0),
        ("RLM_OUT", "there", "out", Path("there")),
        ("RLM_PROMPT", "small", "prompt", "small"),
    ],
)
def test_each_setting_has_its_variable(variable: str, text: str, name: str, value: Any) -> None:
    force = in_force(environ={variable: text})
    assert getattr(force.settings, name) == value
    assert force.origins == {name: variable}


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("RLM_MAX_TURNS", "7", "turns", 7),
        ("RLM_MAX_COST", "0.5", "cost", 0.5),
        ("RLM_MAX_COST", "none", "cost", None),
        ("RLM_MAX_SECONDS", "off", "seconds", None),
        ("RLM_MAX_CELL_SECONDS", "1.5", "cell_seconds", 1.5),
        ("RLM_MAX_IN_FLIGHT", "2", "in_flight", 2),
    ],
)
def test_each_limit_has_its_variable(variable: str, text: str, name: str, value: Any) -> None:
    assert getattr(in_force(environ={variable: text}).limits, name) == value


def test_limits_handed_in_win_over_the_environment() -> None:
    force = in_force(limits=Limits(turns=2), environ={"RLM_MAX_TURNS": "9", "RLM_MAX_CALLS": "9"})
    assert force.limits == Limits(turns=2)


def test_openais_own_variables_come_last_but_before_the_default() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://o/v1"}
    settings = in_force(environ=environ).settings
    assert (settings.api_key, settings.base_url) == ("sk-1", "http://o/v1")
    assert in_force(environ=environ | {"RLM_BASE_URL": "http://r/v1"}).settings.base_url == (
        "http://r/v1"
    )


def test_openais_key_is_not_sent_to_an_endpoint_named_in_another_way() -> None:
    environ = {"OPENAI_API_KEY": "sk-1"}
    assert in_force({"base_url": "http://other/v1"}, environ=environ).settings.api_key is None


def test_no_repr_shows_a_key() -> None:
    force = in_force({"api_key": "sk-canary", "sub_api_key": "sk-canary-2"}, environ={})
    assert "canary" not in repr(force)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"modle": "x"}, "did you mean 'model'"),
        ({"max_turn": 3}, "did you mean 'max_turns'"),
        ({"max_turns": "many"}, "give a whole number"),
        ({"max_turns": "2.5"}, "give a whole number"),
        ({"max_cost": "cheap"}, "give a number, or none"),
        ({"max_turns": "0"}, "at least 1"),
        ({"max_cost": "nan"}, "at least 0"),
        ({"prompt": "tiny"}, "give one of strong, small"),
        ({"environment": "moon"}, "there is: local"),
        ({"retries": -1}, "at least 0"),
        ({"timeout_s": 0.0}, "above 0"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        in_force(given, environ={})


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(UsageError, match="RLM_MAX_TURNS='many'"):
        in_force(environ={"RLM_MAX_TURNS": "many"})
