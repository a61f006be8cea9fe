"""Surrounds each cell: rewrites its source, follows its threads, output and interrupts, seeds it,
and takes back what it changed."""
