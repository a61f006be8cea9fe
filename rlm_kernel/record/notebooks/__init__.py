"""Notebooks made from a record."""
