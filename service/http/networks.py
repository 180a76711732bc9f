"""Networks: from where a request comes, and how much each network may ask of routes that need no credential.

A client is the peer of its socket: an IPv4 address, or of IPv6 a /64, which is what one subscriber gets. What a request
says of its own address counts only where the peer is a proxy that the operator trusts, and then only the last hop that
is not itself trusted. Audit reads have a share of their own, so that no limit that an operator sets, and no crowd
behind the same address, keeps an auditor from catching up with the log. This module must never keep or log an address
beyond what is needed to count.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from service.rates import Shares

Trusted = Sequence[IPv4Network | IPv6Network]

_HOPS: Final = 8
"""Hops of X-Forwarded-For that are looked at, from the last one on."""
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rates:
    """How much one network may ask of what needs no credential: of everything, and of audit reads besides."""

    reads: str
    audit: str


class Networks:
    """How much each network has asked in this process."""

    def __init__(self, rates: Rates, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reads = Shares(rates.reads)
        self._audit = Shares(rates.audit)
        self._clock = clock

    def __len__(self) -> int:
        """How many shares are remembered."""
        return len(self._reads) + len(self._audit)

    def ask(self, network: str, *, audit: bool) -> float:
        """Let one request of this network in: 0, else the seconds after which it will be.

        An audit read takes from its own share, and only where that is used up from the one of all reads.
        """
        now = self._clock()
        waits = [self._audit.take(network, now)] if audit else []
        if not waits or waits[0]:
            waits.append(self._reads.take(network, now))
        return min(waits)


def network_of(address: IPv4Address | IPv6Address) -> str:
    """By what an address is counted: itself, or of IPv6 its /64."""
    address = _plain(address)
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def peer_network(peer: object, trusted: Trusted) -> str | None:
    """By what a peer is counted; None where it is trusted. `peer` is what a transport calls its `peername`."""
    if not isinstance(peer, tuple):
        return None  # a socket of this machine's file system
    address = ip_address(peer[0].partition("%")[0])
    return None if _is_in(address, trusted) else network_of(address)


def forwarded_network(forwarded_for: Sequence[str], trusted: Trusted) -> str | None:
    """For which network a trusted proxy says that it asks; None where it names none, or trusted ones alone.

    `forwarded_for` are the values of X-Forwarded-For, to which each proxy adds at the end whom it was asked by.
    """
    for hop in reversed(",".join(forwarded_for).rsplit(",", _HOPS)[-_HOPS:]):
        address = _address(hop.strip(" \t"))
        if address is None:
            return None  # whatever stands before it was not vouched for by anybody
        if not _is_in(address, trusted):
            return network_of(address)
    return None


def _address(hop: str) -> IPv4Address | IPv6Address | None:
    form = _WITH_PORT.fullmatch(hop)
    try:
        return ip_address((form[1] or form[2]) if form else hop.partition("%")[0])
    except ValueError:
        return None


def _is_in(address: IPv4Address | IPv6Address, trusted: Trusted) -> bool:
    plain = _plain(address)
    return any(plain in network for network in trusted)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that is written as IPv6 is that IPv4 address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
