"""Frozen forks of the kernel: taken between two cells, woken as kernels of their own.

``losses`` finds what a fork cannot carry, ``descriptors`` has its open files, ``freezing`` takes
it and lets it wait, ``waking`` makes a kernel of it.
"""
