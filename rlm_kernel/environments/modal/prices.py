"""What Modal asks for a second of a sandbox, in US dollars, by its price list of 2026.

Sandboxes are billed for what is set aside or used, whichever is more: this knows the first. A
region that is asked for, or a plan, makes it more or less. Prices of a GPU are for one.
"""

from __future__ import annotations

from ...settings.limits import Rate

CORE = 0.00003942
"""A physical core."""
GIB = 0.00000672
GPUS = {
    "t4": 0.000164,
    "l4": 0.000222,
    "a10": 0.000306,
    "a10g": 0.000306,
    "l40s": 0.000542,
    "a100": 0.000583,
    "a100-40gb": 0.000583,
    "a100-80gb": 0.000694,
    "h100": 0.001097,
    "h200": 0.001261,
    "b200": 0.001736,
}


def per_second(cores: float, memory: int, gpu: str | None = None) -> Rate:
    """Return the price for cores, bytes of memory and a GPU such as ``a100`` or ``h100:2``."""
    price = cores * CORE + memory / (1 << 30) * GIB
    if gpu is None:
        return Rate(price)
    name, _, count = gpu.lower().partition(":")
    each = GPUS.get(name.rstrip("!"))  # "h100!" is an H100 and no better one
    if each is None or not (count or "1").isdigit():
        return Rate(price, whole=False)
    return Rate(price + each * int(count or 1))
