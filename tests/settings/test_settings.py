"""What is in force, and where it came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rlm_kernel import Limits, UsageError
from rlm_kernel.rlm.prompts import STYLES
from rlm_kernel.settings.resolved import (
    CHOICES,
    LIMIT_NAMES,
    OPTIONS,
    Layer,
    Settings,
    Wrote,
    in_force,
    unknown_variables,
)


def test_with_nothing_set_the_embedded_lm_and_the_default_limits_hold() -> None:
    force = in_force(environ={})
    assert (force.settings, force.limits, force.origins) == (Settings(), Limits(), {})
    assert force.settings.embedded


def test_an_argument_wins_over_the_environment() -> None:
    environ = {"RLM_MODEL": "b", "RLM_MAX_TURNS": "9"}
    force = in_force({"model": "a", "max_turns": 3}, environ=environ)
    assert (force.settings.model, force.limits.turns) == ("a", 3)
    assert force.origins["model"] == "argument model"


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
        ("RLM_PASS_ENV", "HF_HOME, LANGUAGE,", "pass_env", ("HF_HOME", "LANGUAGE")),
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
        ({"mounts": "/no/such"}, "mounts: there is no folder or file '/no/such'"),
        ({"mounts": ["/", "/root"]}, "would be the same place under /mnt"),
        ({"children": "many"}, "give own or shared"),
        ({"max_turn": 3}, "did you mean 'max_turns'"),
        ({"max_turns": "many"}, "give a whole number"),
        ({"max_turns": "2.5"}, "give a whole number"),
        ({"max_cost": "cheap"}, "give a number, or none"),
        ({"max_turns": "0"}, "at least 1"),
        ({"max_cost": "nan"}, "at least 0"),
        ({"prompt": "tiny"}, "give strong or small"),
        ({"environment": "moon"}, "environment='moon': give local"),
        ({"retries": -1}, "at least 0"),
        ({"timeout_s": 0.0}, "above 0"),
        ({"timeout_s": True}, "give a number"),
        ({"temperature": float("nan")}, "at least 0"),
        ({"window": 0}, "at least 1"),
        ({"model": 5}, "give text"),
        ({"pass_env": "HF HOME"}, "no name of an environment variable"),
        ({"pass_env": ("HF_HOME", "OPENAI_API_KEY")}, "OPENAI_API_KEY stays out"),
        ({"pass_env": "RLM_API_KEY"}, "RLM_API_KEY stays out"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        in_force(given, environ={})


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(UsageError, match="RLM_MAX_TURNS='many'"):
        in_force(environ={"RLM_MAX_TURNS": "many"})


def test_every_setting_and_limit_has_its_meaning_in_words() -> None:
    assert [*(field.name for field in dataclasses.fields(Settings)), *LIMIT_NAMES] == [*OPTIONS]


def test_each_place_wins_over_those_below_it() -> None:
    """The weakest place first; each step adds one that is stronger."""
    places: dict[str, Any] = {"environ": {}, "config": [], "layers": []}
    origins = []
    for turns, place in enumerate(["second.py", "first.py", "environ", "%rlm", "cell", "given"], 1):
        value = {"max_turns": turns}
        if place.endswith(".py"):
            places["config"] = [Layer(place, value), *places["config"]]
        elif place == "environ":
            places["environ"] = {"RLM_MAX_TURNS": str(turns)}
        elif place == "given":
            places["given"] = value
        else:
            origin = "--{option}" if place == "cell" else place
            places["layers"] = [Layer(origin, value), *places["layers"]]
        force = in_force(**places)
        assert force.limits.turns == turns
        origins.append(force.origins["max_turns"])
    files = ["second.py", "first.py"]
    assert origins == [*files, "RLM_MAX_TURNS", "%rlm", "--max-turns", "argument max_turns"]


def test_none_in_a_layer_lifts_a_limit_but_no_argument_is_none() -> None:
    environ = {"RLM_MAX_COST": "0.5"}
    assert in_force(layers=[Layer("%rlm", {"max_cost": None})], environ=environ).limits.cost is None
    assert in_force({"max_cost": None}, environ=environ).limits.cost == 0.5


def test_limits_handed_in_give_way_to_layers_and_not_to_config_files() -> None:
    force = in_force(
        limits=Limits(turns=2, calls=2),
        layers=[Layer("%rlm", {"max_turns": 3})],
        config=[Layer("c.py", {"max_turns": 4, "max_calls": 4})],
        environ={},
    )
    assert force.limits == Limits(turns=3, calls=2)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Layer("--{option}", {"max_cell_seconds": "x"}), "^--max-cell-seconds='x': give a number"),
        (Layer("--{option}", {"environment": "x"}), "^--env='x': give local"),
        (Layer("%rlm", {"temperature": "x"}), "^%rlm: temperature='x': give a number"),
        (Layer("%rlm", {"max_turns": 0}), "^%rlm: max_turns: limit turns=0: give a whole number"),
    ],
)
def test_an_error_says_in_which_layer_a_value_is_wrong(layer: Layer, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        in_force(layers=[layer], environ={})


def test_an_error_shows_no_key() -> None:
    with pytest.raises(UsageError, match=r"api_key=\.\.\.: give text") as caught:
        in_force({"api_key": b"sk-canary"}, environ={})
    assert "canary" not in str(caught.value)


def test_an_endpoint_in_a_config_file_wins_over_openais_and_gets_no_key_of_openais() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "http://o/v1"}
    force = in_force(environ=environ, config=[Layer("c.py", {"base_url": "http://c/v1"})])
    assert (force.settings.base_url, force.settings.api_key) == ("http://c/v1", None)
    assert force.origins == {"base_url": "c.py"}


@pytest.mark.parametrize("sub", ["", "sub_"])
def test_a_config_files_key_is_not_sent_to_an_endpoint_named_above_it(sub: str) -> None:
    config = [Layer("c.py", {f"{sub}base_url": "http://c/v1", f"{sub}api_key": "sk-c"})]
    layers = [Layer("--{option}", {f"{sub}base_url": "http://other/v1"})]
    assert getattr(in_force(environ={}, config=config).settings, f"{sub}api_key") == "sk-c"
    force = in_force(environ={}, config=config, layers=layers)
    assert getattr(force.settings, f"{sub}api_key") is None
    assert "c.py is not for" in force.origins[f"{sub}api_key"]


@pytest.mark.parametrize("sub", ["", "sub_"])
@pytest.mark.parametrize("label", ["%rlm", "--{option}", "cell 3", "argument {name}", "RLM_{NAME}"])
def test_an_endpoint_that_a_notebook_names_gets_no_key_whatever_its_label(
    sub: str, label: str
) -> None:
    named = [Layer(label, {f"{sub}base_url": "http://other/v1"}, Wrote.NOTEBOOK)]
    environ = {f"RLM_{sub.upper()}API_KEY": "sk-1", "OPENAI_API_KEY": "sk-2"}
    for config in ([], [Layer("c.py", {f"{sub}api_key": "sk-c"})]):
        force = in_force(environ=environ, config=config, layers=named)
        assert getattr(force.settings, f"{sub}api_key") is None
        assert "an endpoint that a cell names" in force.withheld[f"{sub}api_key"]
        assert force.origins[f"{sub}api_key"] == force.withheld[f"{sub}api_key"]


@pytest.mark.parametrize("label", ["%mine", "--{option}", "the record", "c.py"])
def test_an_endpoint_that_the_user_names_gets_the_key_whatever_its_label(label: str) -> None:
    named = [Layer(label, {"base_url": "http://other/v1"})]
    force = in_force(environ={"RLM_API_KEY": "sk-1"}, layers=named)
    assert (force.settings.api_key, force.withheld) == ("sk-1", {})


def test_a_config_file_whose_name_is_a_label_keeps_its_key_at_home() -> None:
    config = [Layer("RLM_BASE_URL", {"api_key": "sk-c"})]
    force = in_force(environ={"RLM_BASE_URL": "http://other/v1"}, config=config)
    assert force.settings.api_key is None


def test_a_key_alone_in_a_config_file_is_used_like_openais() -> None:
    config = [Layer("c.py", {"api_key": "sk-c"})]
    force = in_force(environ={"OPENAI_API_KEY": "sk-1"}, config=config)
    assert (force.settings.api_key, force.settings.base_url) == ("sk-c", None)


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("RLM_MODLE", "RLM_MODEL"),
        ("RLM_TURNS", "RLM_MAX_TURNS"),
        ("RLM_MAX_TURN", "RLM_MAX_TURNS"),
        ("RLM_TIMEOUT", "RLM_TIMEOUT_S"),
        ("RLM_APIKEY", "RLM_API_KEY"),
    ],
)
def test_a_variable_that_is_nearly_a_setting_is_said(variable: str, meant: str) -> None:
    [sentence] = unknown_variables({variable: "canary", "PATH": "x"})
    assert sentence == f"{variable} is no setting; did you mean {meant}?"


@pytest.mark.parametrize(
    "variable", ["RLM_SETUP", "RLM_REQUIRE", "RLM_FULL", "RLM_CACHE", "RLM_NODE", "RLM_MODEL"]
)
def test_a_variable_that_is_no_setting_and_like_none_is_left_alone(variable: str) -> None:
    assert unknown_variables({variable: "1"}) == []


def test_the_prompt_styles_that_can_be_set_are_those_that_there_are() -> None:
    assert CHOICES["prompt"] == tuple(STYLES)
