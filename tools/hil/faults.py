"""A network that fails as it is told to: a TCP proxy between boards and the broker's listener.

    async with FaultProxy("127.0.0.1", broker.lan.port, host="0.0.0.0") as faults:
        ...                         # boards dial faults.port
        await faults.blackhole()
        await faults.clear()

One fault at a time, from when it is set until the next one or `clear`. TLS passes through
untouched: the proxy has no key, and reads no more than the types and lengths of TLS records.

What this does not show, because it is a program at one end of a wire and not the wire (dropping
packets takes root, or a switch):

- A host that drops SYNs: `blackhole` accepts connections, and then nothing comes. What a board does
  while its connect() hangs is not seen; what it does while a handshake or a CONNACK hangs is.
- TCP's own retransmissions: this machine acknowledges what a board sends, and keeps some KB of it,
  so a board's send buffer is empty, or full, earlier than behind a dead router.
- Lost or reordered packets, and a smaller MTU: TCP hides the first, and the second is IP's.
"""

from __future__ import annotations

import asyncio
import socket
import time
from types import TracebackType
from typing import Final

from tools.hil.fault_connection import Connection
from tools.hil.fault_rules import (
    Blackhole,
    Clear,
    DelayConnack,
    Fault,
    HalfOpen,
    Refuse,
    Reset,
    Retarget,
    Slow,
    Truncate,
)
from tools.ports import LOOPBACK, PortTaken, is_free

_LOG_LINES: Final = 20000

# What began under one of these is of no use after it.
_TAKE_THEIR_CONNECTIONS: Final = (Reset, Blackhole, HalfOpen, Retarget)


class FaultProxy:
    """Listens at ``host`` and passes each connection on to ``target_host:target_port``.

    ``port`` 0 takes a free one; it is the same from `start` to `stop`, and nobody else's while
    connections are refused. All methods belong to the event loop that `start` ran in.

    ``log`` has what was done and seen: (`time.monotonic()` in s, text). ``accepted`` counts the
    connections so far, ``bytes_up`` and ``bytes_down`` what was passed to the broker and to boards.
    """

    def __init__(
        self, target_host: str, target_port: int, *, host: str = LOOPBACK, port: int = 0
    ) -> None:
        self.target = (target_host, target_port)
        self.host = host
        self.port = port
        self.fault: Fault = Clear()
        self.log: list[tuple[float, str]] = []
        self.accepted = self.bytes_up = self.bytes_down = 0
        self._connections: dict[int, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None

    async def start(self) -> None:
        """Raises PortTaken, or OSError where ``host`` is no address of this machine."""
        if self.port and not is_free(self.port, self.host):
            raise PortTaken(self.port, "the fault proxy", "another `port`")
        self._held = self._bound()
        self.port = int(self._held.getsockname()[1])
        await self._listen()

    async def stop(self) -> None:
        """Close everything. Safe to repeat."""
        await self._refuse()
        for connection in list(self._connections.values()):
            connection.abort(rst=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # in which the transports close their sockets
        if self._held is not None:
            self._held.close()
            self._held = None

    async def __aenter__(self) -> FaultProxy:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def connections(self) -> int:
        """How many the boards have open now."""
        return sum(1 for c in list(self._connections.values()) if c.is_open)

    # -- faults ----------------------------------------------------------------------------

    async def clear(self) -> None:
        """Everything passes again. What hung, or was with another server, is reset, so that the
        board comes back; what was only slow goes on."""
        await self._set(Clear())

    async def refuse(self) -> None:
        """Nobody listens: ECONNREFUSED. What is established is reset."""
        await self._set(Refuse())

    async def reset(self) -> None:
        """RST on what is established, and on each new connection when its first bytes come."""
        await self._set(Reset())

    async def blackhole(self) -> None:
        """Connections stay, new ones are accepted, and nothing passes either way: no bytes, no
        FIN, no RST."""
        await self._set(Blackhole())

    async def half_open(self) -> None:
        """What is established is closed at the broker, which sends the will; the board's side
        stays open and silent, and its bytes vanish, as when a router forgot the connection. New
        connections are as usual."""
        await self._set(HalfOpen())

    async def slow(self, bytes_per_s: float, delay_ms: float = 0) -> None:
        """Each connection carries so much each way, and each byte comes so much later."""
        if bytes_per_s <= 0 or delay_ms < 0:
            raise ValueError("slow: bytes_per_s has to be above 0, delay_ms 0 or more")
        await self._set(Slow(bytes_per_s, delay_ms / 1000))

    async def truncate(self, after_bytes: int) -> None:
        """Each connection ends when the board has got so many bytes of application data: of TLS
        whole records as they are on the wire, headers included; the handshake does not count."""
        if after_bytes < 0:
            raise ValueError("truncate: after_bytes has to be 0 or more")
        await self._set(Truncate(after_bytes))

    async def delay_connack(self, seconds: float) -> None:
        """What the broker says first on a connection, after a TLS handshake, is held so long."""
        if seconds < 0:
            raise ValueError("delay_connack: seconds has to be 0 or more")
        await self._set(DelayConnack(seconds))

    async def retarget(self, host: str, port: int) -> None:
        """New connections go there, until the next fault or `clear`; established ones are reset."""
        await self._set(Retarget(host, port))

    async def _set(self, fault: Fault) -> None:
        self.note(f"fault: {fault}")
        self.fault = fault
        for connection in list(self._connections.values()):
            if isinstance(connection.fault, _TAKE_THEIR_CONNECTIONS):
                connection.reset(f"after {connection.fault}")
            elif isinstance(fault, Refuse | Reset | Retarget):
                connection.reset(f"by {fault}")
            else:
                connection.set(fault)
        if isinstance(fault, Refuse):
            await self._refuse()
        elif self._server is None:
            await self._listen()
        await asyncio.sleep(0)  # in which the transports close their sockets

    # -- listening -------------------------------------------------------------------------

    def _bound(self) -> socket.socket:
        """A socket at our port. One that never listens keeps it ours while we refuse."""
        # With its protocol said: else asyncio leaves Nagle's algorithm on, 40 ms a message.
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((self.host, self.port))
        except OSError:
            sock.close()
            raise
        return sock

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=self._bound())

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await asyncio.sleep(0)

    def _accept(self) -> asyncio.BufferedProtocol:
        self.accepted += 1
        # Half open is what was there when it was set.
        fault = Clear() if isinstance(self.fault, HalfOpen) else self.fault
        target = (fault.host, fault.port) if isinstance(fault, Retarget) else self.target
        connection = Connection(self, self.accepted, fault, target)
        self._connections[self.accepted] = connection
        return connection.board

    # -- what connections tell -------------------------------------------------------------

    def count(self, n: int, *, down: bool) -> None:
        """So many bytes were passed on."""
        if down:
            self.bytes_down += n
        else:
            self.bytes_up += n

    def note(self, text: str) -> None:
        """A line in the log, whose older half goes when it is very long."""
        if len(self.log) >= _LOG_LINES:
            del self.log[: _LOG_LINES // 2]
        self.log.append((time.monotonic(), text))

    def keep(self, task: asyncio.Task[None]) -> None:
        """A task of a connection, which `stop` waits for."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)
