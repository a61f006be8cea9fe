"""Kernels on this machine."""
