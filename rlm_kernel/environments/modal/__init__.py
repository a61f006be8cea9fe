"""Kernels in sandboxes at Modal."""
