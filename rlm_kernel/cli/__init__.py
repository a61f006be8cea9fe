"""The command ``rlm``."""

from __future__ import annotations

from collections.abc import Sequence

from ..privacy import hide_from_others


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    hide_from_others()
    from .command import run  # after that: it takes half a second to import

    return run(arguments, own_process=arguments is None)
