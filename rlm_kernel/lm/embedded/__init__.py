"""The LM that needs no key: two small models served on loopback by a process of ours."""

from .process import EmbeddedServer, Endpoint, available, installed
from .sharing import shared_server
from .weights import cache_dir

__all__ = ["EmbeddedServer", "Endpoint", "available", "cache_dir", "installed", "shared_server"]
