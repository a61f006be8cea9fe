"""Notebooks made from a record, and read back."""
