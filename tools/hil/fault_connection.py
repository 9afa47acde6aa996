"""One connection through the fault proxy: two ends, and a way in each direction between them.

Both sides have TCP_NODELAY, which asyncio sets by itself. There are no tasks but the one that
dials: bytes move when some come, when the other end takes more, when the fault changes, and when a
timer says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from tools.hil.fault_rules import (
    Blackhole,
    Chunk,
    Fault,
    HalfOpen,
    Progress,
    Records,
    Reset,
    Step,
    decide,
)

if TYPE_CHECKING:
    from tools.hil.faults import FaultProxy

_CONNECT_S: Final = 10.0
_READ_BYTES: Final = 8192
_HELD_BYTES: Final = 16384  # so much waits in each direction; then its sender has to wait
_RST: Final = struct.pack("ii", 1, 0)  # SO_LINGER 0: close() sends RST


class _End(asyncio.BufferedProtocol):
    """One side of a connection. What it reads goes ``out``, what it writes comes ``back``."""

    out: _Way
    back: _Way
    opened: Callable[[], None]

    def __init__(self, name: str, lost: Callable[[_End, Exception | None], None]) -> None:
        self.name = name
        self.transport: asyncio.Transport | None = None
        self.gone = False
        self._lost = lost
        self._space = bytearray(_READ_BYTES)

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def read(self, wanted: bool) -> None:
        if self.transport is None or self.out.ended:
            return  # after its end, asyncio would find that end again and again
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def abort(self, *, rst: bool = False) -> None:
        """Close now, with what was not sent thrown away."""
        if self.transport is None or self.gone:
            return
        if rst:
            with contextlib.suppress(OSError):
                sock = self.transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no asyncio.Transport by class.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_READ_BYTES)
        self.opened()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self.out.feed(bytes(self._space[:nbytes]))

    def eof_received(self) -> bool:
        self.out.end()
        return True  # the other direction may go on

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self._lost(self, exc)

    def pause_writing(self) -> None:
        self.back.block(True)

    def resume_writing(self) -> None:
        self.back.block(False)


class _Way:
    """One direction, and what waits in it."""

    def __init__(self, connection: Connection, source: _End, sink: _End, *, down: bool) -> None:
        self.progress = Progress(down)
        self.ended = False  # the source sends no more
        self.done = False  # nothing more is passed on, not even an end
        self._connection = connection
        self._source, self._sink = source, sink
        self._records = Records()
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._blocked = False
        self._timer: asyncio.TimerHandle | None = None
        source.out = sink.back = self

    def feed(self, data: bytes) -> None:
        fault = self._connection.fault
        if isinstance(fault, Reset):
            self._connection.reset("at its first bytes")
        if self.done:
            return
        now = self._connection.loop.time()
        # Only the server's side tells TLS from MQTT, and only there it matters.
        pieces = self._records.split(data) if self.progress.down else [(data, True)]
        for piece, application in pieces:
            self._chunks.append(Chunk(piece, now, application))
        self._held += len(data)
        self.run()

    def end(self) -> None:
        """The source sends no more."""
        self.ended = True
        if isinstance(self._connection.fault, HalfOpen | Reset):
            self._connection.abort()  # there is nobody else
        self.run()

    def block(self, is_blocked: bool) -> None:
        """The sink takes nothing for now, or does again."""
        self._blocked = is_blocked
        if not is_blocked:
            self.begin()

    def begin(self, *, anew: bool = False) -> None:
        """Go on from here; ``anew``: under another fault. What could not go until now is not made
        up for by a burst."""
        if anew:
            self.progress.counted = 0
        self.progress.free_s = self._connection.loop.time()
        self.run()

    def drop(self) -> None:
        """What waits is lost, and so is what comes."""
        self._stop_timer()
        self._chunks.clear()
        self._held = 0
        self.done = True

    def run(self) -> None:
        """Pass on what may go now, and come back when more may."""
        self._stop_timer()
        connection = self._connection
        while self._chunks and self._sink.is_open and not self._blocked:
            step = decide(connection.fault, self._chunks[0], self.progress, connection.loop.time())
            if step.n:
                self._pass(step)
            if step.cut:
                connection.cut(self.progress.counted)
                return
            if not step.n:
                if step.again_s < math.inf:
                    self._timer = connection.loop.call_at(step.again_s, self.run)
                break
        self._source.read(self._held < _HELD_BYTES)
        connection.settle(self)

    @property
    def over(self) -> bool:
        """All that came has gone, and no more will come."""
        return self.ended and not self._chunks and self._sink.transport is not None

    def finish(self) -> None:
        """Tell the sink that no more will come."""
        self.done = True
        if self._sink.transport is not None and self._sink.is_open:
            self._sink.transport.write_eof()

    def _pass(self, step: Step) -> None:
        chunk = self._chunks[0]
        data, chunk.data = chunk.data[: step.n], chunk.data[step.n :]
        if not chunk.data:
            self._chunks.popleft()
        self._held -= step.n
        self.progress.free_s = step.free_s
        if chunk.application:
            self.progress.spoken = True
            self.progress.counted += step.n
        self._connection.proxy.count(step.n, down=self.progress.down)
        assert self._sink.transport is not None
        self._sink.transport.write(data)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connection:
    """The board's end, the broker's, and the two ways between. ``target`` is dialed when the
    board's end is there, but for a fault that wants no broker."""

    def __init__(
        self, proxy: FaultProxy, number: int, fault: Fault, target: tuple[str, int]
    ) -> None:
        self.proxy = proxy
        self.number = number
        self.fault = fault
        self.target = target
        self.loop = asyncio.get_running_loop()
        self.board = _End("board", self._lost)
        self.broker = _End("broker", self._lost)
        self.up = _Way(self, self.board, self.broker, down=False)
        self.down = _Way(self, self.broker, self.board, down=True)
        self.board.opened = self._accepted
        self.broker.opened = self.up.begin
        self._dialing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Does the board still have it?"""
        return self.board.is_open and not self.up.ended

    def set(self, fault: Fault) -> None:
        """This fault from now on."""
        self.fault = fault
        if isinstance(fault, HalfOpen):
            self._abandon()
            return
        for way in (self.up, self.down):
            way.begin(anew=True)

    def settle(self, way: _Way) -> None:
        """Pass a FIN on, behind everything that came before it. Both passed: the end."""
        if isinstance(self.fault, Blackhole | HalfOpen):
            return
        if way.over and not way.done:
            way.finish()
        if self.up.done and self.down.done:
            for end in (self.board, self.broker):
                if end.transport is not None:
                    end.transport.close()  # sends what waits in it

    def cut(self, after_bytes: int) -> None:
        """End here, so that the board gets every byte that has passed: by a FIN, and without the
        RST that close() sends while the other side still writes."""
        self.note(f"cut after {after_bytes} bytes")
        assert self.board.transport is not None
        self.board.transport.write_eof()
        self.fault = HalfOpen()
        self._abandon()

    def reset(self, why: str) -> None:
        """RST to both."""
        self.note(f"reset {why}")
        self.abort(rst=True)

    def abort(self, *, rst: bool = False) -> None:
        self._drop()
        for end in (self.board, self.broker):
            end.abort(rst=rst)

    def note(self, text: str) -> None:
        self.proxy.note(f"connection {self.number}: {text}")

    def _abandon(self) -> None:
        """The broker's side is closed, and the board's stays: what it sends is read and lost."""
        self._drop()
        self.broker.abort()
        self.board.read(True)
        if self.up.ended:
            self.abort()

    def _drop(self) -> None:
        if self._dialing is not None:
            self._dialing.cancel()
        for way in (self.up, self.down):
            way.drop()

    def _accepted(self) -> None:
        assert self.board.transport is not None
        peer = self.board.transport.get_extra_info("peername")
        self.note(f"from {peer[0]}:{peer[1]}")
        if not isinstance(self.fault, Reset | Blackhole):
            self._dialing = self.loop.create_task(self._dial())
            self.proxy.keep(self._dialing)

    async def _dial(self) -> None:
        host, port = self.target
        try:
            async with asyncio.timeout(_CONNECT_S):
                await self.loop.create_connection(lambda: self.broker, host, port)
        except OSError as error:  # TimeoutError is one
            self.reset(f"since {host}:{port} is out of reach: {error or 'timed out'}")

    def _lost(self, end: _End, exc: Exception | None) -> None:
        """An end has gone: closed by ourselves, or (``exc``) reset by who was there."""
        if exc is not None and isinstance(self.fault, Blackhole):
            self.note(f"the {end.name} has gone, which nobody hears: {exc}")
        elif exc is not None:
            self.reset(f"after the {end.name}: {exc}")
        if self.board.gone and (self.broker.gone or self.broker.transport is None):
            self.note("ended")
            self.proxy.forget(self)
