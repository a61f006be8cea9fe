"""Ours beside the peer `rlms`, in one run on one machine: ``python -m tests.bench``."""
