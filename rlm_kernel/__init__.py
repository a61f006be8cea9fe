"""A Jupyter kernel and a library in which a language model is the notebook's author."""

from .api import RLM
from .contexts import Source
from .errors import (
    CallRefused,
    ContextError,
    KernelDied,
    KernelStartError,
    LimitReached,
    LMError,
    NoLM,
    RecordError,
    RLMError,
    UsageError,
)
from .limits import Limits
from .session import Result
from .tools import on_host

__all__ = [
    "RLM",
    "CallRefused",
    "ContextError",
    "KernelDied",
    "KernelStartError",
    "LMError",
    "LimitReached",
    "Limits",
    "NoLM",
    "RLMError",
    "RecordError",
    "Result",
    "Source",
    "UsageError",
    "on_host",
]
__version__ = "0.1.0"
