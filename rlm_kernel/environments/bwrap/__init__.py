"""Kernels on this machine in namespaces of their own, by bubblewrap: no engine and no root."""
