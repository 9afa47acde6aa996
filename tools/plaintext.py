"""Plain MQTT shows logins and sentences to everybody on the network: only on loopback, or where
somebody said that it is meant."""

from __future__ import annotations

import ipaddress

from tools.problem import Usage


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, whatever a network says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost")


def refuse_plain(host: str, tls: bool, insecure: bool) -> None:
    """Usage where logins would cross a network in the clear and nobody said so."""
    if not (tls or insecure or is_loopback(host)):
        raise Usage(
            f"plain MQTT to {host} shows logins and sentences to everybody on the network. "
            "Use mqtts:// (`ganglion ca init` makes an authority), or say --insecure"
        )
