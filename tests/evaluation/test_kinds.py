"""The kinds of an evaluation: what they make, and whether what they call right is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import GUIDE
from solvers import SOLVERS

from rlm_kernel.evaluation.grid import as_text, split_of
from rlm_kernel.evaluation.rules import RULES
from rlm_kernel.evaluation.sets import SETS, Kind, Wanted, prose, size

HERE = [
    (name, kind)
    for name in ("asked", "labels", "needles", "sources", "prose")
    for kind in SETS[name].kinds
]
CHARS = 3_000
each_kind = pytest.mark.parametrize(("of", "kind"), HERE, ids=[f"{n}/{k.name}" for n, k in HERE])


@each_kind
def test_what_is_called_right_is_what_another_way_finds(of: str, kind: Kind) -> None:
    if (lack := kind.missing()) is not None:
        pytest.skip(lack)
    for seed in range(1 if of == "sources" else 3):  # parsing takes its time
        made = kind.make(Wanted(kind, seed, CHARS).chance, CHARS)
        assert SOLVERS[kind.name](made.context, made.words) == made.gold


@each_kind
def test_a_seed_makes_the_same_each_time_and_another_seed_something_else(
    of: str, kind: Kind
) -> None:
    if (lack := kind.missing()) is not None:
        pytest.skip(lack)
    wanted = [Wanted(kind, seed, CHARS) for seed in (5, 5, 6)]
    one, again, other = (kind.make(each.chance, each.chars) for each in wanted)
    assert (one.context, one.gold, one.words) == (again.context, again.gold, again.words)
    assert as_text(one.context) != as_text(other.context)


@pytest.mark.parametrize("of", SETS)
def test_a_kind_has_a_rule_and_three_wordings_of_its_own(of: str) -> None:
    kinds = SETS[of].kinds
    assert len({kind.name for kind in kinds}) == len(kinds)
    assert {kind.rule for kind in kinds} <= set(RULES)
    for kind in kinds:
        published = of in ("ruler", "puzzles")  # whose question is asked as it is
        assert len(set(kind.wordings)) == (1 if published else 3)


def test_users_ask_twenty_kinds_and_more_each_found_in_public() -> None:
    kinds = SETS["asked"].kinds
    assert len(kinds) >= 20
    assert f"{len(kinds)} kinds" in SETS["asked"].told
    assert f"| `asked` | {len(kinds)} kinds that users ask" in GUIDE["eval"]
    assert all(source.startswith("http") for kind in kinds for source in kind.sources)
    assert all(kind.sources for kind in kinds)


def test_some_kinds_of_every_large_set_are_held_out() -> None:
    for of in ("asked", "labels", "needles", "sources", "ruler"):
        splits = [split_of(kind) for kind in SETS[of].kinds]
        assert 0.2 <= splits.count("held-out") / len(splits) <= 0.5


@each_kind
def test_a_wording_names_all_that_is_asked(of: str, kind: Kind) -> None:
    if (lack := kind.missing()) is not None:
        pytest.skip(lack)
    made = kind.make(Wanted(kind, 3, CHARS).chance, CHARS)
    for wording in kind.wordings:
        assert wording.format(**made.words) != wording or not made.words
        for name, value in made.words.items():
            if name != "hops" and "{" + name + "}" in wording:
                assert str(value) in wording.format(**made.words)


@pytest.mark.parametrize("name", ["count-filtered", "errors-by-hour", "messages-by-person"])
def test_a_context_is_about_as_long_as_was_asked(name: str) -> None:
    kind = next(kind for kind in SETS["asked"].kinds if kind.name == name)
    for chars in (10_000, 200_000):
        made = kind.make(Wanted(kind, 0, chars).chance, chars)
        assert 0.85 * chars < size(made.context) < 1.15 * chars


def test_quotations_are_read_where_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [kind] = [kind for kind in SETS["prose"].kinds if kind.name == "said-by"]
    said = [f"Whoever counts to {n} will sooner or later have counted to {n}, and no further.\n"
            f"\t\t-- Name{chr(65 + n)} Of Somebody" for n in range(26)]  # fmt: skip
    (tmp_path / "wise").write_text("\n%\n".join([*said, "nobody said this"]) + "\n%\n")
    monkeypatch.setattr(prose, "FORTUNES", tmp_path)
    prose._quotations.cache_clear()
    try:
        assert kind.missing() is None
        made = kind.make(Wanted(kind, 0, 1_000).chance, 1_000)
    finally:
        prose._quotations.cache_clear()
    assert SOLVERS["said-by"](made.context, made.words) == made.gold
    assert made.gold not in made.others
