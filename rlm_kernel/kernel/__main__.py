"""Start the outer kernel: ``python -m rlm_kernel.kernel -f CONNECTION_FILE``."""

from __future__ import annotations

from ..environments.local.privacy import hide_from_others


def main() -> None:
    hide_from_others()
    from .app import run  # after that: it takes half a second to import

    run()


if __name__ == "__main__":
    main()
