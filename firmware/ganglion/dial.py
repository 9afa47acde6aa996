"""Opens the connection to the broker: TCP, and TLS where the configuration names a CA."""

import errno
import socket
from asyncio import core

from . import clock

_IN_PROGRESS = (errno.EINPROGRESS, 119, 115)  # 119: lwIP on the ESP32; 115: Linux


def resolve(config):
    """The broker's address; may block for seconds."""
    return socket.getaddrinfo(config["host"], config["port"], 0, socket.SOCK_STREAM)[0][-1]


def _writable(sock):
    yield core._io_queue.queue_write(sock)


async def dial(config, address):
    """`(stream, socket)`, the same object without TLS. Raises OSError.

    With TLS the handshake comes with the first write; what it refuses is a ValueError there.
    """
    context = _context(config["ca"]) if config.get("ca") else None
    raw = socket.socket()
    try:
        raw.setblocking(False)
        raw.setsockopt(6, 1, 1)  # IPPROTO_TCP, TCP_NODELAY
        try:
            raw.connect(address)
        except OSError as e:
            if e.errno not in _IN_PROGRESS:
                raise
        await _writable(raw)
        if context is None:
            return raw, raw
        # Without waiting for the handshake: a broker that stalls must not stall the agent.
        return context.wrap_socket(
            raw, server_hostname=config["host"], do_handshake_on_connect=False
        ), raw
    except BaseException:
        raw.close()
        raise


def _context(path):
    # A certificate's dates are checked: no clock, no handshake.
    if clock.now() is None and not clock.from_ntp():
        raise OSError("TLS needs the time, and NTP does not answer")
    # Not ssl: that is Python around this, not there on every port, and takes a file's name first.
    import tls

    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    try:
        with open(path, "rb") as f:
            context.load_verify_locations(f.read())
    except OSError:
        raise OSError("%s is missing: provision this board" % path) from None
    except ValueError:
        raise OSError("%s is no certificate: provision this board" % path) from None
    context.verify_mode = tls.CERT_REQUIRED
    return context
