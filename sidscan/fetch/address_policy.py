"""Which IP addresses a scan connects to. Nothing is looked up here: all functions are pure.

A list of URLs is somebody else's text. Whoever writes it must not be able to point this machine at its own
services, its network, or a cloud's metadata service ("server-side request forgery"). So a scan connects only
to globally reachable addresses; `--allow-private` adds those that an intranet archive may have.

The ranges are those of the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) that are not
globally reachable. They are written out because `ipaddress.is_global` differs between Python versions.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import NamedTuple

from sidscan.fetch.errors import AddressRefused

Address = IPv4Address | IPv6Address


class Refusal(NamedTuple):
    """Why an address is refused.

    Attributes:
        private: an intranet archive may have such an address; `--allow-private` permits it.
    """

    reason: str
    private: bool


_PRIVATE_NETWORKS = {
    "10.0.0.0/8": "private (RFC 1918)",
    "100.64.0.0/10": "shared between a provider's customers (RFC 6598)",
    "127.0.0.0/8": "this machine itself (RFC 1122)",
    "172.16.0.0/12": "private (RFC 1918)",
    "192.168.0.0/16": "private (RFC 1918)",
    "::1/128": "this machine itself (RFC 4291)",
    "fc00::/7": "private (RFC 4193)",
}
# No archive is at these addresses, so nothing permits them. Clouds serve credentials at link-local ones.
_RESERVED_NETWORKS = {
    "0.0.0.0/8": "no host's (RFC 1122)",
    "169.254.0.0/16": "link-local (RFC 3927)",
    "192.0.0.0/24": "reserved for protocols (RFC 6890)",
    "192.0.2.0/24": "for documentation (RFC 5737)",
    "192.88.99.0/24": "a 6to4 relay's (RFC 7526)",
    "198.18.0.0/15": "for benchmarks (RFC 2544)",
    "198.51.100.0/24": "for documentation (RFC 5737)",
    "203.0.113.0/24": "for documentation (RFC 5737)",
    "224.0.0.0/4": "multicast (RFC 5771)",
    "240.0.0.0/4": "reserved (RFC 1112)",
    "2001::/32": "a Teredo tunnel's (RFC 4380)",
    "2001::/23": "reserved for protocols (RFC 2928)",
    "2001:db8::/32": "for documentation (RFC 3849)",
    "2002::/16": "a 6to4 tunnel's (RFC 3056)",
    "3fff::/20": "for documentation (RFC 9637)",
    "fe80::/10": "link-local (RFC 4291)",
    "ff00::/8": "multicast (RFC 4291)",
}
_REFUSALS = tuple(
    (ipaddress.ip_network(network), Refusal(reason, ranges is _PRIVATE_NETWORKS))
    for ranges in (_PRIVATE_NETWORKS, _RESERVED_NETWORKS)
    for network, reason in ranges.items()
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # RFC 4291, section 2.5.4: all that is assigned so far
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits
_IPV4_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


def find_refusal(address: Address) -> Refusal | None:
    """Why ``address`` is refused; None for a globally reachable one.

    An IPv4 address inside an IPv6 one (mapped, RFC 4291; NAT64, RFC 6052) is judged as itself, since packets
    go there. Teredo and 6to4 are refused whatever they embed.
    """
    if isinstance(address, IPv6Address) and (embedded := _embedded_ipv4(address)):
        return find_refusal(embedded)
    for network, refusal in _REFUSALS:
        if address.version == network.version and address in network:
            return refusal
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return Refusal("not a global one (RFC 4291)", private=False)
    return None


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def literal_addresses(host: str) -> tuple[Address, ...]:
    """The addresses that a URL's host states by itself; none for a name that must be looked up.

    ``localhost`` is this machine (RFC 6761, section 6.3).

    Raises:
        AddressRefused: an IPv4 address in a form that programs interpret differently: fewer than four
            numbers, octal or hexadecimal numbers (RFC 6943, section 3.1.1).
    """
    name = host.removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return IPv4Address("127.0.0.1"), IPv6Address("::1")
    try:
        return (ipaddress.ip_address(name),)
    except ValueError:
        if _IPV4_NUMBER.fullmatch(name.rpartition(".")[2]):
            raise AddressRefused(
                f"{host} is an ambiguous IPv4 address; write it as four decimal numbers"
            ) from None
        return ()


def check_addresses(host: str, addresses: Sequence[Address], allow_private: bool) -> None:
    """Refuse a host unless all of its addresses are permitted.

    One refused address is enough: attackers get around filters by names with both kinds of addresses.

    Raises:
        AddressRefused: names the address, the reason, and the option if one would help.
    """
    for address in addresses:
        refusal = find_refusal(address)
        if refusal is None or (refusal.private and allow_private):
            continue
        at = "" if host == str(address) else f"{host} is at "
        remedy = "; permitted by --allow-private" if refusal.private else ""
        raise AddressRefused(f"{at}{address}, which is {refusal.reason}{remedy}")
