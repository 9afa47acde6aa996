"""The connection to the broker: a small interface, and paho-mqtt behind it.

``Link`` is all that the rest of the companion knows.
"""

from companion.link.base import BrokerUrl, Handler, Link, LinkFull
from companion.link.pahomqtt import PahoLink

__all__ = ["BrokerUrl", "Handler", "Link", "LinkFull", "PahoLink"]
