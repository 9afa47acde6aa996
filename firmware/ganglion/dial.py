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
    """`(stream, socket)`, the same object without TLS. Raises OSError."""
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
        return _tls(config, raw) if config.get("ca") else raw, raw
    except BaseException:
        raw.close()
        raise


def _tls(config, raw):
    # A certificate's dates are checked: no clock, no handshake.
    if clock.now() is None and not clock.from_ntp():
        raise OSError("TLS needs the time, and NTP does not answer")
    try:
        import ssl
    except ImportError:
        import tls as ssl  # the Unix port has no ssl.py
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with open(config["ca"], "rb") as f:
        context.load_verify_locations(f.read())
    context.verify_mode = ssl.CERT_REQUIRED
    return context.wrap_socket(raw, server_hostname=config["host"], do_handshake_on_connect=False)
