"""Kernels in containers of a Docker engine."""
