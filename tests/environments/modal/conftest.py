from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Opener, Sandbox, comes_true, sandbox

from tests.modals import use_plane
from tests.plane import ControlPlane


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    """The control plane, on which a test leaves no sandbox."""
    made = use_plane()
    yield made
    assert comes_true(lambda: made.running() == [], 10), made.running()


@pytest.fixture
def opened(plane: ControlPlane, tmp_path: Path) -> Opener:
    """Settings by name to a context manager of a kernel in a sandbox."""

    def opening(**config: Any) -> AbstractContextManager[Sandbox]:
        return sandbox(tmp_path, config, "rlm-modal")

    return opening
