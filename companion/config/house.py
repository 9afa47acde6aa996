"""Whether what a backend is told stays in the house."""

import ipaddress
from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlsplit

from companion.config.model import BackendConfig

_Nets: TypeAlias = Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]

_LOOPBACK: Final = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
_HOUSE: Final = (
    *_LOOPBACK,
    *map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
    *map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10")),
)
"""Loopback, private (RFC 1918, RFC 4193), link-local (RFC 3927, RFC 4291). Not 100.64.0.0/10: that
is a provider's, or a network of machines that stand anywhere."""


class Provider(Protocol):
    """What must be known of a profile; a ``backends.profile.Profile`` is one."""

    @property
    def url(self) -> str: ...
    @property
    def local(self) -> bool: ...


def is_in_house(backend: BackendConfig, profile: Provider | None) -> bool:
    """What the configuration says; else whether it computes in this process, or stands at a
    private address. A cloud's profile at a private address is most likely a proxy, and what it is
    told goes on; a local profile whose url is public is not in the house."""
    if backend.house is not None:
        return backend.house
    if backend.kind == "llama":
        return True
    if profile is not None and not profile.local:
        return False
    return is_house_url(backend.url or (profile.url if profile else ""))


def is_house_url(url: str) -> bool:
    """Whether a URL names this machine or a private address. A name other than ``localhost`` does
    not count: what it resolves to may change, and with it where a private ask would go."""
    return _is_in(url, _HOUSE)


def is_loopback_url(url: str) -> bool:
    """Whether a URL names this machine."""
    return _is_in(url, _LOOPBACK)


def _is_in(url: str, nets: _Nets) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        # With a zone an address may name an interface: fe80::1%eth0.
        literal = "127.0.0.1" if host == "localhost" else host.partition("%")[0]
        address = ipaddress.ip_address(literal)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in net for net in nets)
