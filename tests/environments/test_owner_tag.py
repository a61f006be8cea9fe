"""Whose a sandbox is, and whether that process is gone: when in doubt it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rlm_kernel.environments import owner_tag
from rlm_kernel.environments.owner_tag import host_mark, is_gone

ANOTHER = "from rlm_kernel.environments.owner_tag import host_mark; print(host_mark())"


def _changed(at: int, text: str = "0" * 12) -> str:
    parts = host_mark().split(".")
    parts[at] = text
    return ".".join(parts)


def test_a_process_that_lives_is_not_gone() -> None:
    assert not is_gone(host_mark())


def test_a_process_that_has_ended_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER], capture_output=True, text=True, timeout=60, check=True
    )
    assert is_gone(done.stdout.strip())


def test_a_process_whose_number_another_has_now_is_gone() -> None:
    assert is_gone(_changed(4))


def test_of_another_machine_and_of_another_pid_namespace_nothing_is_known() -> None:
    assert not is_gone(_changed(0))
    assert not is_gone(_changed(2))


@pytest.mark.parametrize(("known", "gone"), [("a machine's own id", True), ("", False)])
def test_before_the_last_start_of_a_machine_is_gone_where_it_is_surely_this_one(
    monkeypatch: pytest.MonkeyPatch, known: str, gone: bool
) -> None:
    monkeypatch.setattr(owner_tag, "_identity", lambda: known)
    assert is_gone(_changed(1)) is gone


@pytest.mark.parametrize("text", ["", "x", "a.b.c.d.e", "....", "a/b/c/1/2"])
def test_what_is_no_mark_is_of_nobody_that_is_gone(text: str) -> None:
    assert not is_gone(text)


def test_a_mark_is_a_plain_label() -> None:
    assert len(host_mark()) <= 63
    assert host_mark().replace(".", "").isalnum()
