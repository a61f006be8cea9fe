"""A finished run as one HTML page, to be sent and read anywhere, offline."""

from __future__ import annotations

from .page import page, write

__all__ = ["page", "write"]
