"""What the companion needs of a broker, whatever library speaks to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

Handler: TypeAlias = Callable[[str, bytes, bool], None]
"""Called with topic, payload, retained. Must not block; what it raises is logged and dropped."""


class LinkFull(Exception):
    """Too much waits for the broker already; this message was not taken."""


class Link(Protocol):
    """What the companion needs of a broker."""

    @property
    def connected(self) -> asyncio.Event:
        """Set while the session is up and every subscription is granted."""
        ...

    @property
    def problem(self) -> str:
        """Why it is not connected, for people; "" while it is."""
        ...

    def subscribe(self, topic_filter: str, handler: Handler) -> None:
        """QoS 1, now and after each reconnection."""
        ...

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Send, or keep until the broker is there. Raises LinkFull when too much waits."""
        ...

    async def run(self) -> None:
        """Connect and stay connected until ``close`` or cancellation."""
        ...

    async def close(self) -> None:
        """Say goodbye to the broker. What still waits is lost."""
        ...


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A parsed ``mqtt://user:password@host:port`` or ``mqtts://…``."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> "BrokerUrl":
        """Raises ValueError, without the password in it."""
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts"):
            raise ValueError("a broker URL starts with mqtt:// or mqtts://")
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port of the broker URL is a number from 1 to 65535") from None
        if not parts.hostname or port == 0:
            raise ValueError("a broker URL looks like mqtt://user:password@host:1883")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("a broker URL ends after the port")
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=port or (8883 if tls else 1883),
            tls=tls,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    def __repr__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"
