"""The LM client: any OpenAI-compatible endpoint."""

from .attempts import Meter, Reply, Sampling
from .client import Client

__all__ = ["Client", "Meter", "Reply", "Sampling"]
