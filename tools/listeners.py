"""Where the embedded broker listens: mosquitto.conf, as text."""

from __future__ import annotations

from dataclasses import dataclass

# `use_username_as_clientid` has an effect only after a `listener` line, and for that one alone.
#
# No persistence: sessions are clean, and what is retained (presence, tools, points) each device
# says anew when it connects. A kept `online` of a device that left while the broker was down would
# be a lie that no last will corrects.
#
# Messages over 4096 bytes are let through, so that the receiver can say `too_big`: mosquitto
# itself would drop the sender's connection without a word.
_CONFIGURATION = """\
# Written by Ganglion at each start; changes here are lost.
per_listener_settings false
listener {port} {host}
use_username_as_clientid true
{lan}allow_anonymous false
password_file passwords
acl_file acl
persistence false
set_tcp_nodelay true
max_inflight_messages 0
max_packet_size 16384
sys_interval 0
log_dest file mosquitto.log
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S
user {user}
"""

_LAN = """\
listener {port} {address}
use_username_as_clientid true
"""

_TLS = """\
certfile lan.pem
keyfile lan.key
tls_version tlsv1.2
"""


@dataclass(frozen=True, slots=True)
class Lan:
    """A second listener, for boards on the network. ``certificate`` and ``key`` are PEM; both ""
    is plain MQTT, which anybody on the network can read."""

    port: int
    certificate: str = ""
    key: str = ""
    address: str = "0.0.0.0"

    @property
    def tls(self) -> bool:
        return bool(self.certificate)

    def __repr__(self) -> str:
        return f"Lan({self.address}:{self.port}, tls={self.tls})"


def configuration(host: str, port: int, user: str, lan: Lan | None) -> str:
    """The whole file. Certificate and key lie beside it, as ``lan.pem`` and ``lan.key``."""
    more = ""
    if lan is not None:
        more = _LAN.format(port=lan.port, address=lan.address) + (_TLS if lan.tls else "")
    return _CONFIGURATION.format(host=host, port=port, user=user, lan=more)
