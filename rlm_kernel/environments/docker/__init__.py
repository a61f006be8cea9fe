"""Kernels in containers of a Docker Engine."""
