"""A socket with a buffer either way, for a client that reads and writes in crumbs."""

import socket
import ssl
from typing import Any

_CHUNK_BYTES = 65536


class BufferedSocket:
    """Wraps a connected non-blocking TCP or TLS socket with the methods that paho uses.

    The owner calls ``readable`` at each readiness event, reads until ``pending`` is False, and
    ``flush`` after writing.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._tls = isinstance(sock, ssl.SSLSocket)
        self._in = b""
        self._at = 0
        self._out = bytearray()
        self._empty = False
        self.broken = False
        self.writer_on = False

    def readable(self) -> None:
        """The kernel has something: the next ``recv`` may ask it."""
        self._empty = False

    def recv(self, size: int) -> bytes:
        """As ``socket.recv``; raises BlockingIOError without asking the kernel when the last
        read of this event emptied it."""
        at = self._at
        if at >= len(self._in):
            if self.broken:
                raise ConnectionError("the connection is broken")
            if self._empty:
                raise BlockingIOError
            self._in = self._sock.recv(_CHUNK_BYTES)
            at = 0
            # A short read from TCP has emptied it. TLS hands out a record at a time.
            self._empty = not self._tls and 0 < len(self._in) < _CHUNK_BYTES
        end = at + size
        self._at = end
        return self._in[at:end]

    def pending(self) -> bool:
        """Whether bytes wait here that will raise no further readiness event."""
        if self._at < len(self._in):
            return True
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def send(self, data: bytes | bytearray) -> int:
        """Takes all of it; nothing leaves before ``flush``."""
        self._out += data
        return len(data)

    def flush(self) -> bool:
        """Write what the kernel takes. True when nothing is left. Raises OSError."""
        out = self._out
        while out:
            try:
                sent = self._sock.send(out)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            if sent == len(out):
                self._out = bytearray()
                break
            del out[:sent]
        return True

    def close(self) -> None:
        """Writes what it can (a DISCONNECT, as a rule) and closes."""
        try:
            if not self.broken:
                self.flush()
        except OSError:
            pass
        finally:
            self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    def setsockopt(self, *args: Any) -> None:
        self._sock.setsockopt(*args)
