"""The answer that a cell gave to ``FINAL_VAR``: its text and JSON, doubts, its evidence."""
