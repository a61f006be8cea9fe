"""Asking a language model, wherever it is, and reading its reply.

What it is told is in ``rlm``.
"""

from .attempts import Meter, Reply, Sampling
from .client import Client

__all__ = ["Client", "Meter", "Reply", "Sampling"]
