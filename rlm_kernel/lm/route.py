"""The way to an endpoint: straight, or through the proxy that the environment names.

What is on this machine is never asked through a proxy, whatever the environment says.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ..errors import UsageError

SCHEMES = ("http", "https")
LOOKUP_S = 5.0


@dataclass(frozen=True)
class Proxy:
    """A proxy and the variable that names it. The address may hold a password."""

    variable: str
    url: str = field(repr=False)

    @property
    def shown(self) -> str:
        """The variable and the address without a password, for an error."""
        parts = urlsplit(self.url)
        return f"{self.variable}={parts.scheme}://{parts.netloc.rpartition('@')[2]}"


async def proxy_to(url: str) -> Proxy | None:
    """Return the proxy that ``url`` is to be asked through; None for the straight way.

    ``no_proxy`` holds. Raises ``UsageError`` for a proxy of a kind that is not supported, such as
    SOCKS. Whether one answers is not looked at.
    """
    proxy = _named(url)
    host = urlsplit(url).hostname or ""
    if proxy is None or await _is_here(host):
        return None
    scheme = urlsplit(proxy.url).scheme
    if scheme not in SCHEMES:
        raise UsageError(
            f"{proxy.shown}: a proxy of the kind {scheme!r} is not supported, and {host} would be "
            "asked through it. Name an HTTP proxy (http://HOST:PORT), take the variable away, or "
            "put the host into no_proxy."
        )
    return proxy


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its name or address alone; nothing is asked."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _leads_here(name)


async def _is_here(host: str) -> bool:
    """``is_loopback``, or a name that has no address but of this machine's loopback."""
    if is_loopback(host):
        return True
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):  # behind a proxy names often have no address
        return False
    return bool(found) and all(_leads_here(str(address[0])) for *_, address in found)


def _leads_here(text: str) -> bool:
    address = _address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    # Connecting to 0.0.0.0 or :: connects to this machine.
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _named(url: str) -> Proxy | None:
    """The proxy that the environment (or else the system) names for an address."""
    parts = urlsplit(url)
    found = getproxies()
    kind = next((kind for kind in (parts.scheme, "all") if found.get(kind)), None)
    if kind is None or _exempt(parts.hostname or "", parts.netloc, found.get("no", "")):
        return None
    address = found[kind] if "://" in found[kind] else f"http://{found[kind]}"
    return Proxy(_variable(kind, found[kind], os.environ), address)


def _variable(kind: str, value: str, environ: Mapping[str, str]) -> str:
    names = (f"{kind}_proxy", f"{kind}_proxy".upper())
    return next((n for n in names if environ.get(n) == value), f"the system's {kind} proxy")


def _exempt(host: str, netloc: str, no_proxy: str) -> bool:
    """Return whether ``no_proxy`` names the host, a domain that it is in, its address or
    network."""
    if proxy_bypass(netloc.rpartition("@")[2]):
        return True
    entries = [entry.strip() for entry in no_proxy.split(",") if entry.strip()]
    if "*" in entries:
        return True
    domains = [entry.removeprefix("*").lower() for entry in entries if entry.startswith("*.")]
    return host.endswith(tuple(domains)) or _in_networks(host, entries)


def _in_networks(host: str, entries: list[str]) -> bool:
    address = _address(host)
    if address is None:
        return False
    for entry in entries:
        try:
            network = ip_network(entry.strip("[]"), strict=False)
        except ValueError:  # a name
            continue
        if address in network:
            return True
    return False
