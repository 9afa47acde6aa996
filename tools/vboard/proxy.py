"""Every connection of the board goes through here, so that its network can go away.

The board's `getaddrinfo` writes "host:port" beside one of our listening ports and hands out that
port's address; whoever connects there is connected to the target.

A network that is down is silent: established connections stay, and nothing passes either way
(what was sent meanwhile arrives when it is back, as TCP's retransmissions would bring it). New
connections are refused. A board that loses power says no goodbye either: its connection to the
target stays open and silent, until the target gives it up.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import cast

LOOPBACK = "127.0.0.1"
# How long after the end of a connection its process may still be seen running.
_DEATH_SHOWS_AFTER_S = 0.02
_CONNECT_S = 10.0


class _Leg(asyncio.Protocol):
    """One side of a connection. What it reads goes to the other side."""

    def __init__(self, connection: _Connection) -> None:
        self.connection = connection
        self.transport: asyncio.Transport | None = None
        self.other: _Leg | None = None
        self.early = b""  # read before the other side was connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no asyncio.Transport by class.
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Nothing is read before there is somewhere to send it. (uvloop reads all the same.)
        transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        other = self.other
        if other is None or other.transport is None:
            self.early += data
        elif not other.transport.is_closing():
            other.transport.write(data)

    def pause_writing(self) -> None:
        self.connection.full(self, True)

    def resume_writing(self) -> None:
        self.connection.full(self, False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.lost(self)


class _Connection:
    """The board's leg and the target's."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.board = _Leg(self)
        self.target = _Leg(self)
        self.board.other, self.target.other = self.target, self.board
        self.dead = False  # the board's process ended with this open
        self._full: set[_Leg] = set()

    def full(self, leg: _Leg, is_full: bool) -> None:
        """Back-pressure: a leg that cannot send any more stops the other one's reading."""
        (self._full.add if is_full else self._full.discard)(leg)
        self.flow()

    def flow(self) -> None:
        """Read from a leg when the network is up and the other leg takes data."""
        for leg in (self.board, self.target):
            if leg.transport is None or leg.transport.is_closing():
                continue
            if self.proxy.up and leg.other not in self._full:
                leg.transport.resume_reading()
            else:
                leg.transport.pause_reading()

    def lost(self, leg: _Leg) -> None:
        if leg is self.target:
            self.close()
        else:
            self.proxy.soon(self._board_left())

    async def _board_left(self) -> None:
        """Was it closed, or did the board die? Only a living one says goodbye."""
        await asyncio.sleep(_DEATH_SHOWS_AFTER_S)
        if self.dead or not self.proxy.up:
            return  # the target's leg stays, silent
        if self.target.transport:
            self.target.transport.close()
        self.proxy.connections.discard(self)

    def close(self) -> None:
        for leg in (self.board, self.target):
            if leg.transport:
                leg.transport.close()
        self.proxy.connections.discard(self)

    def abort(self) -> None:
        """End the board's leg with a reset: what a refused connection looks like from there."""
        if self.board.transport:
            sock = self.board.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.board.transport.abort()
        if self.target.transport:
            self.target.transport.abort()
        self.proxy.connections.discard(self)


def _bound(port: int) -> socket.socket:
    """A socket there. One that never listens keeps the port ours while the network is down."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((LOOPBACK, port))
    return sock


class Proxy:
    """``n`` listening ports; ``target(i)`` is the "host:port" behind the i-th."""

    def __init__(self, n: int, target: Callable[[int], str]) -> None:
        self.up = True
        self.ports = [0] * n
        self.connections: set[_Connection] = set()
        self._target = target
        self._servers: list[asyncio.Server] = []
        self._held: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for i, port in enumerate(self.ports):
            self._held.append(_bound(port))
            self.ports[i] = self._held[i].getsockname()[1]
        await self._listen()

    async def stop(self) -> None:
        await self._refuse()
        for connection in list(self.connections):
            connection.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for sock in self._held:
            sock.close()
        self._held.clear()

    async def set_up(self, up: bool) -> None:
        """The network goes or comes back."""
        if up == self.up:
            return
        self.up = up
        if up:
            await self._listen()
        else:
            await self._refuse()
        for connection in list(self.connections):
            connection.flow()

    def board_died(self) -> None:
        """Its process has ended: its connections fall silent instead of closing."""
        for connection in self.connections:
            connection.dead = True

    def soon(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for i, port in enumerate(self.ports):

            def accept(i: int = i) -> _Leg:
                connection = _Connection(self)
                self.connections.add(connection)
                self.soon(self._connect(connection, i))
                return connection.board

            self._servers.append(await loop.create_server(accept, sock=_bound(port)))

    async def _refuse(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        await asyncio.sleep(0)

    async def _connect(self, connection: _Connection, i: int) -> None:
        host, _, port = self._target(i).rpartition(":")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_S):
                await loop.create_connection(lambda: connection.target, host, int(port))
        except (OSError, ValueError):
            connection.abort()
            return
        if connection.board.early and connection.target.transport:
            connection.target.transport.write(connection.board.early)
        connection.flow()
