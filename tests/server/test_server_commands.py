"""The answer's origin and the page of a run, made by a process of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlm_kernel.server import commands
from rlm_kernel.server.commands import CommandFailed, why

pytestmark = pytest.mark.anyio


async def test_what_cannot_be_read_or_takes_too_long_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "journal.jsonl").write_text("no record\n")
    (tmp_path / "rlm_kernel.py").write_text("raise SystemExit('a stranger is imported')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandFailed, match="record"):
        await why(tmp_path)
    monkeypatch.setattr(commands, "MOST_SECONDS", 0.01)
    with pytest.raises(CommandFailed, match=r"took over 0 s|too long"):
        await why(tmp_path)
