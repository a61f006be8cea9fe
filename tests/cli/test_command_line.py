"""The command line before a command does anything: what it costs, and what it refuses."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from rlm_kernel import cli
from rlm_kernel.cli import parser, record_parsers
from rlm_kernel.reports import listing

REVIEWS = Path(__file__).parents[2] / "notebooks" / "reviews"
HEAVY = {"rich", "pydantic", "jupyter_client", "openai", "IPython", "ipykernel", "zmq", "nbformat"}
IMPORTED = """
import sys
from rlm_kernel.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*sys.modules)
"""


def _imported(*arguments: str) -> set[str]:
    """The packages that are imported after ``rlm`` with these arguments."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize("words", ["--help", "--version", "run --help", "show --help", "nonsense"])
def test_a_help_or_a_wrong_word_imports_nothing_of_weight(words: str) -> None:
    assert _imported(*words.split()) & HEAVY == set()


def test_a_run_is_shown_without_a_kernel_or_a_client() -> None:
    heavy = HEAVY - {"rich", "pydantic", "nbformat"}
    assert _imported("show", str(REVIEWS)) & heavy == set()


def _leaves(made: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    inner = [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]
    if not inner:
        yield made
    for commands in inner:
        for command in commands.choices.values():
            yield from _leaves(command)


def test_every_command_names_a_function_that_does_it() -> None:
    named = [str(leaf.get_default("work")) for leaf in _leaves(parser.make())]
    assert len(named) >= 15
    for name in named:
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(f"rlm_kernel.cli.{module}"), function)), name


def test_a_table_can_be_sorted_by_what_its_help_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(listing.KEYS) == record_parsers.SORT_KEYS
    with pytest.raises(SystemExit):
        cli.main(["show", "--help"])
    assert f"{listing.MAX_LEVELS} levels" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "words",
    [
        "show no-such",
        "replay no-such",
        "replay no-such --live",
        "resume no-such",
        "fork no-such --at 1",
        "rerun no-such --context text",
        "diff no-such no-such",
        "why no-such",
        "export no-such",
        "batch no-such -o out",
        "run What? --context no-such",
    ],
)
def test_a_path_that_is_not_there_is_wrong_usage(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("text")
    assert cli.main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no-such" in err
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_an_export_goes_to_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", str(REVIEWS), "-o", "page.html"]) == 0
    page = Path("page.html").read_bytes()
    capfdbinary.readouterr()
    assert cli.main(["export", str(REVIEWS), "-o", "-"]) == 0
    assert capfdbinary.readouterr().out == page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it is a device of Linux")
@pytest.mark.parametrize("words", ["show RUN", "show RUN RUN", "why RUN", "diff RUN RUN", "--help"])
def test_standard_output_that_is_full_is_a_message(words: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-E", "-m", "rlm_kernel", *words.replace("RUN", str(REVIEWS)).split()],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "rlm: standard output cannot be written to" in line


@pytest.mark.parametrize("command", ["run Q --context p", "rerun p --context p", "batch p -o p"])
def test_what_a_folder_leaves_out_may_be_said_in_several_options(command: str) -> None:
    given = [*command.split(), "--exclude", "*.log", "--exclude", "a/,!b"]
    assert parser.make().parse_args(given).exclude == "*.log,a/,!b"
