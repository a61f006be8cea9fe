"""What Modal asks for a second of a sandbox, in US dollars, by its price list of 2026.

Sandboxes are billed for what is set aside or used, whichever is more: this knows the first. A
region or a plan may change it. Prices of a GPU are for one.
"""

from __future__ import annotations

CORE = 0.00003942
"""A physical core."""
GIB = 0.00000672
GPUS = {
    "t4": 0.000164,
    "l4": 0.000222,
    "a10": 0.000306,
    "l40s": 0.000542,
    "a100": 0.000583,
    "a100-40gb": 0.000583,
    "a100-80gb": 0.000694,
    "h100": 0.001097,
    "h200": 0.001261,
    "b200": 0.001736,
}


def per_second(cores: float, memory: int, gpu: str | None = None) -> float | None:
    """For cores, bytes of memory and a GPU such as ``a100`` or ``h100:2``; None for a GPU whose
    price is not known."""
    price = cores * CORE + memory / (1 << 30) * GIB
    if gpu is None:
        return price
    name, _, count = gpu.lower().rstrip("!").partition(":")
    if name not in GPUS or not (count or "1").isdigit():
        return None
    return price + GPUS[name] * int(count or 1)
