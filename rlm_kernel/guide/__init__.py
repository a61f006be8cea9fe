"""The guide's pages as text, for terminals and notebooks.

They are notebooks that anybody can run: below ``notebooks/guide`` in a checkout, in this folder in
an installed package. Nothing here runs them.
"""

from __future__ import annotations

from .pages import PAGES, TOPICS, about, file_of, listing, text

__all__ = ["PAGES", "TOPICS", "about", "file_of", "listing", "text"]
