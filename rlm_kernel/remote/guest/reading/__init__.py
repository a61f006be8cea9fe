"""Reads what a value holds: its rows, where words stand in it, and its tables in SQL."""
