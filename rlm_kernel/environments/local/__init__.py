"""Kernels on this machine, as this user."""
