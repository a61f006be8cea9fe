"""The LM that needs no key: two small models served on loopback by a process of ours."""

from rlm_kernel.embedded.process import EmbeddedServer, Endpoint, available
from rlm_kernel.embedded.sharing import shared_server
from rlm_kernel.embedded.weights import cache_dir

__all__ = ["EmbeddedServer", "Endpoint", "available", "cache_dir", "shared_server"]
