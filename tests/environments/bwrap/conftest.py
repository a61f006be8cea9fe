from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Opener, Sandbox, sandbox


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Settings by name to a context manager of a kernel in a sandbox."""

    def opening(**config: Any) -> AbstractContextManager[Sandbox]:
        return sandbox(tmp_path, config, "rlm-bwrap")

    return opening


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One kernel with the default settings, for the tests of a file that do not harm it."""
    with sandbox(tmp_path_factory.mktemp("shared"), {}, "rlm-bwrap") as place:
        yield place
