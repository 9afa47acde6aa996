"""HTTP/1.1 without TLS: an exchange over a connection, and a pool of those that are kept.

llhttp (httptools) parses. What is here is only what this companion needs of a client, which is why
it is its own: docs/companion.md has the figures. No redirect, no cookie, no proxy, no decoding.
"""

import asyncio
import select
import socket
import sys
from collections import deque
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

HEAD_BYTES_MAX: Final = 64 * 1024
"""Status line and headers of one response; also what may come before a body goes on."""
UNREAD_BYTES_MAX: Final = 256 * 1024
"""So much of a body is held for a reader that is slow; then the server has to wait."""
_NEXT_ADDRESS_S: Final = 1.0
"""A host of several addresses: so long each but the last may keep a connection waiting."""


class Unreachable(Exception):
    """Nothing was sent."""


class Cut(Exception):
    """The exchange did not come to its end, or what came is no HTTP."""


class Connection(asyncio.Protocol):
    """One exchange at a time. An async iterator: the body of its response, piece by piece."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        """By names in lower case; values of one name are joined."""
        self.kept_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: deque[bytes] = deque()
        self._unread_bytes = 0
        self._paused = False
        # Of the head so far, and what has come since the parser last had something to tell.
        self._head_bytes = self._silent_bytes = 0
        self._asked = self._head_done = self._done = False
        self._until_end = self._interim = False
        self._lost = False
        self._reusable = True

    async def ask(self, request: bytes) -> None:
        """Send it; returns once ``status`` and ``headers`` are there. Raises Cut."""
        if self._lost or self._transport is None:
            raise Cut("closed")
        self.headers = {}
        self._head_bytes = self._silent_bytes = 0
        self._asked, self._head_done, self._done = True, False, False
        self._transport.write(request)
        while not self._head_done:
            await self._more()

    def __aiter__(self) -> "Connection":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._done:
                raise StopAsyncIteration
            await self._more()
        piece = self._pieces.popleft()
        self._unread_bytes -= len(piece)
        if self._paused and not self._pieces and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return piece

    def is_fit(self) -> bool:
        """Whether another request may go this way: the last response is read to its end, and
        nothing has come behind it."""
        if self._asked and (self._pieces or not self._done):
            return False
        return self._reusable and not self._lost

    def is_quiet(self) -> bool:
        """Whether neither an end nor anything else has come that the loop has not read yet."""
        sock = self._transport.get_extra_info("socket") if self._transport else None
        if sock is None or sock.fileno() < 0:
            return False
        if sys.platform == "win32":
            return not select.select([sock], [], [], 0)[0]
        poll = select.poll()  # select() takes no descriptor past 1023
        poll.register(sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """At once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    async def _more(self) -> None:
        if self._lost:
            raise Cut("ended early")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._lost or self._parser is None:
            return
        if not self._asked or self._done:
            # Nobody asked for this; it would be taken for the next answer.
            self._give_up()
            return
        self._silent_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._give_up()
        if self._silent_bytes > HEAD_BYTES_MAX and not self._done:
            self._give_up()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        if error is None and self._until_end and not self._lost:
            self._done = True
        self._lost = True
        # It holds this connection's methods: a ring.
        self._parser = self._transport = None
        self._wake()

    def _give_up(self) -> None:
        # A response that was whole stays so: what came behind it only costs the connection.
        self._reusable = False
        self._lost = True
        self.close()

    # -- the parser's

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > HEAD_BYTES_MAX:
            raise Cut("its headers are too long")
        if self._head_done:
            return  # a trailer
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status == 101:
            raise Cut("it changes to another protocol")
        self._interim = status < 200
        if self._interim:
            self.headers = {}
            return
        self.status = status
        self._head_done = True
        self._silent_bytes = 0
        self._reusable = self._parser.should_keep_alive()
        coding = self.headers.get("transfer-encoding")
        if coding is not None:
            self._until_end = coding.rpartition(",")[2].strip().lower() != "chunked"
        else:
            self._until_end = "content-length" not in self.headers

    def on_body(self, piece: bytes) -> None:
        self._silent_bytes = 0
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        if self._unread_bytes > UNREAD_BYTES_MAX and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()

    def on_message_begin(self) -> None:
        if self._done:
            raise Cut("a response that nobody asked for")

    def on_message_complete(self) -> None:
        if not self._interim:
            self._done = True
            self._silent_bytes = 0


class Pool:
    """Connections to one host. On one event loop."""

    def __init__(self, host: str, port: int, size: int, keep_s: float) -> None:
        """``size``: so many at a time, the next waits; an idle one is kept for ``keep_s``."""
        self._host, self._port = host, port
        self._keep_s = keep_s
        self._kept: deque[Connection] = deque()
        self._used: set[Connection] = set()
        self._room = asyncio.Semaphore(size)

    async def take(self, connect_s: float, *, fresh: bool = False) -> Connection:
        """One to ask over, for ``release``; ``fresh``: none that was used before. Raises
        Unreachable, also when no connection comes about within ``connect_s``."""
        await self._room.acquire()
        try:
            connection = None if fresh else self._kept_one()
            if connection is None:
                connection = await self._connect(connect_s)
        except BaseException:
            self._room.release()
            raise
        self._used.add(connection)
        return connection

    def release(self, connection: Connection, *, keep: bool = True) -> None:
        """It is kept if it can be used again, else closed, with whatever is still under way."""
        self._used.discard(connection)
        self._room.release()
        if keep and connection.is_fit():
            connection.kept_since = asyncio.get_running_loop().time()
            self._kept.append(connection)
        else:
            connection.close()
        self._drop_old()

    async def aclose(self) -> None:
        """Close all of them, those in use too."""
        for connection in (*self._kept, *self._used):
            connection.close()
        self._kept.clear()
        # The loop closes the sockets with its next turn.
        await asyncio.sleep(0)

    def _kept_one(self) -> Connection | None:
        self._drop_old()
        while self._kept:
            # The last one used: the others grow old and go.
            connection = self._kept.pop()
            if connection.is_fit() and connection.is_quiet():
                return connection
            connection.close()
        return None

    def _drop_old(self) -> None:
        oldest = asyncio.get_running_loop().time() - self._keep_s
        while self._kept and self._kept[0].kept_since < oldest:
            self._kept.popleft().close()

    async def _connect(self, connect_s: float) -> Connection:
        """By the first address that takes it. uvloop knows no RFC 8305; a quick no, as that of
        ``::1`` where the server listens on 127.0.0.1 alone, costs nothing."""
        loop = asyncio.get_running_loop()
        error: Exception = OSError("it has no address")
        until = loop.time() + connect_s
        try:
            async with asyncio.timeout_at(until):
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            for left, (family, kind, proto, _, address) in zip(
                range(len(found) - 1, -1, -1), found, strict=True
            ):
                wait_s = min(until - loop.time(), _NEXT_ADDRESS_S if left else connect_s)
                sock = socket.socket(family, kind, proto)
                try:
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    async with asyncio.timeout(wait_s):
                        await loop.sock_connect(sock, address)
                    _, connection = await loop.create_connection(Connection, sock=sock)
                    return connection
                except OSError as caught:  # TimeoutError is one
                    sock.close()
                    error = caught
                except BaseException:
                    sock.close()
                    raise
        except (OSError, UnicodeError) as caught:
            error = caught
        raise Unreachable(type(error).__name__) from error
