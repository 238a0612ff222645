"""Which addresses webhooks may reach. Used by target, by deliver's connections and by runner. Pure: no sockets, no names.

Public means: unicast that is routed on the Internet. `ipaddress.is_global` is not enough: it lets pass NAT64, 6to4, relays
and multicast, behind which a private address may hide. So version 6 is a list of what is allowed, version 4 of what is not.
Sources: the IANA registries of special-purpose addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

from citybrain.errors import CitybrainError

Network = IPv4Network | IPv6Network
Scheme = Literal["http", "https"]

_NOT_PUBLIC_4 = tuple(
    IPv4Network(one)
    for one in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))


class TargetRefused(CitybrainError):
    """Webhooks may not go there."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`networks` are allowed besides what is public (CITYBRAIN_DELIVERY_NETWORKS); `plain_http` allows http to them."""

    networks: tuple[Network, ...] = ()
    plain_http: bool = False

    def allows(self, address: str, scheme: Scheme) -> bool:
        """Whether a connection to this address may be made. What is no address is not allowed."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.scope_id is not None:
            return False
        if any(found in network for network in self.networks):
            return scheme == "https" or self.plain_http
        return scheme == "https" and is_public(found)

    def vet(self, address: str, scheme: Scheme) -> None:
        """Raises TargetRefused for an address that is not allowed."""
        if not self.allows(address, scheme):
            what = "plain http is for CITYBRAIN_DELIVERY_NETWORKS alone" if scheme == "http" else "it is not public"
            raise TargetRefused(f"the address {address} is not allowed: {what}")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is unicast of the Internet, with no other address inside."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)
