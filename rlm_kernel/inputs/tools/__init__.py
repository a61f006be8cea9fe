"""What the user hands in: functions, which are sent to the cells or called back, and values."""

from .host import on_host
from .toolset import Tools

__all__ = ["Tools", "on_host"]
