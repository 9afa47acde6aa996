"""What provisioning puts on a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BoardConfig:
    """What provisioning writes to `/config.json`. ``ssid`` and ``password`` are what the board
    is told; the access point itself is the launcher's (``VirtualBoard(ap=…)``)."""

    secret: str = ""
    host: str = "127.0.0.1"
    port: int = 1883
    board: str = "esp32"
    ssid: str = "virtual"
    password: str = "virtual-password"
    ca: bytes = b""
    """DER of the authority that its broker's certificate needs; empty: no TLS."""
    more: dict[str, Any] | None = None

    def entries(self, device: str) -> dict[str, Any]:
        return {
            "device": device,
            "secret": self.secret,
            "host": self.host,
            "port": self.port,
            "board": self.board,
            "wifi": {"ssid": self.ssid, "password": self.password},
            **({"ca": "/ca.der"} if self.ca else {}),
            **(self.more or {}),
        }
