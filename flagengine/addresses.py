"""Internet addresses and the networks they are in."""

import ipaddress
import re
from functools import lru_cache

_NETWORK = re.compile(r"([^/]+)(?:/([0-9]{1,3}))?")
_MAPPED_BITS = 96  # ::ffff:0:0/96 holds the IPv4 addresses

Address = tuple[int, int]  # IP version, number
Network = tuple[int, int, int]  # IP version, bits to drop, what is left of the number


def address_of(text: str) -> Address | None:
    """The address a text says, an IPv4-mapped one as IPv4; None when it is none."""
    # The longest address has 45 characters.
    return _remembered(text) if len(text) <= 45 else None


def _parsed(text: str) -> Address | None:
    if "%" in text:  # a zone belongs to one machine, not to an address
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address)


_remembered = lru_cache(maxsize=4096)(_parsed)


def network_of(text: str) -> Network | None:
    """The network `address/bits` says, host bits dropped; an address alone is a network of one."""
    match = _NETWORK.fullmatch(text)
    if match is None:
        return None
    address = address_of(match[1])
    if address is None:
        return None
    version, number = address
    written_as_ipv6 = ":" in match[1]
    written_width = 128 if written_as_ipv6 else 32
    bits = written_width if match[2] is None else int(match[2])
    if bits > written_width:
        return None
    if version == 4 and written_as_ipv6:
        if bits < _MAPPED_BITS:
            # Wider than all of IPv4: an IPv6 network, which holds no IPv4 address.
            return 6, 128 - bits, (0xFFFF << 32 | number) >> (128 - bits)
        bits -= _MAPPED_BITS
    width = 128 if version == 6 else 32
    return version, width - bits, number >> (width - bits)
