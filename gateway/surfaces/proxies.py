"""Who is really calling, behind proxies of our own. The address is for limits and logs; it lets nobody in.

`X-Forwarded-For` counts from the listed proxies alone, and of it only what they themselves wrote: from its end, up to
the first address that is not one of theirs. Every other forwarded header is left alone: where the gateway is reached is
`public_url`, whatever a request says. Above: the edge, `crowd`, `guessing`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """`trusted` are addresses and networks, which have been found to be such."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted: list[Network] = [ipaddress.ip_network(each, strict=False) for each in trusted]

    def caller(self, peer: str, forwarded_for: str | None) -> str:
        """The address of whoever is calling, when `peer` is at the other end of the connection."""
        caller = peer
        for claimed in reversed((forwarded_for or "").split(",")):
            address = _address(claimed)
            if address is None or not self.trusts(caller):
                break
            caller = address
        return caller

    def trusts(self, text: str) -> bool:
        """Whether that is the address of one of them."""
        if not self._trusted:
            return False
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def network_of(address: str) -> str | None:
    """What counts as one where things are counted by address: of version 6 the network, for whoever has one address of
    it has them all. None for what is no address, such as a Unix socket's."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and not found.is_loopback:
        mapped = found.ipv4_mapped
        return str(ipaddress.ip_network((found, 64), strict=False) if mapped is None else mapped)
    return str(found)


def _address(text: str) -> str | None:
    """`192.0.2.7`, perhaps with a port, or `[2001:db8::7]:443`, as an address."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None
