"""Network faults as data, and what becomes of bytes under each. Pure: `faults` does it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Final

_PIECE_S: Final = 0.05  # a slow line carries so much at once: 20 timers a second at most

# RFC 5246 section 6.2.1: 20 to 23, and 24 of RFC 6520. What an MQTT broker says begins with 32.
_TLS_TYPES: Final = range(20, 25)
_TLS_HEADER_BYTES: Final = 5
_APPLICATION: Final = 23


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the network."""

    def __str__(self) -> str:
        name = re.sub(r"(?<=.)(?=[A-Z])", " ", type(self).__name__).lower()
        return ", ".join([name, *(f"{f.name} {getattr(self, f.name)}" for f in fields(self))])


@dataclass(frozen=True, slots=True)
class Clear(Fault):
    """Nothing is."""


@dataclass(frozen=True, slots=True)
class Refuse(Fault):
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Reset(Fault):
    """RST as soon as the first bytes come."""


@dataclass(frozen=True, slots=True)
class Blackhole(Fault):
    """Nothing passes either way."""


@dataclass(frozen=True, slots=True)
class HalfOpen(Fault):
    """The broker's side is closed, the board's open and silent."""


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """So many bytes a second each way, each so much later."""

    bytes_per_s: float
    delay_s: float


@dataclass(frozen=True, slots=True)
class Truncate(Fault):
    """The end comes after so many bytes of application data to the board."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class DelayConnack(Fault):
    """The broker's first application data comes so much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Retarget(Fault):
    """Connections go to another server."""

    host: str
    port: int


@dataclass(slots=True)
class Chunk:
    """Bytes on their way, when they came (loop time), and whether they are application data."""

    data: bytes
    arrived_s: float
    application: bool


class Records:
    """Tells application data in what a server sends: of TLS 1.2 the records of type 23 with their
    headers, of anything else all of it. TLS 1.3 hides its handshake in type 23, and would count as
    application data from there; mbedTLS on MicroPython does not speak it."""

    def __init__(self) -> None:
        self._tls: bool | None = None
        self._head = b""
        self._left = 0  # bytes of this record's body still to come

    def split(self, data: bytes) -> list[tuple[bytes, bool]]:
        """``data`` in pieces, each with whether it is application data. Records may be cut
        anywhere between one call and the next."""
        if self._tls is None and data:
            self._tls = data[0] in _TLS_TYPES
        if not self._tls:
            return [(data, True)] if data else []
        pieces: list[tuple[bytes, bool]] = []
        at = begin = 0
        was = False
        while at < len(data):
            if len(self._head) < _TLS_HEADER_BYTES:
                n = min(_TLS_HEADER_BYTES - len(self._head), len(data) - at)
                self._head += data[at : at + n]
                if len(self._head) == _TLS_HEADER_BYTES:
                    self._left = int.from_bytes(self._head[3:], "big")
            else:
                n = min(self._left, len(data) - at)
                self._left -= n
            application = self._head[0] == _APPLICATION
            if application != was and at > begin:
                pieces.append((data[begin:at], was))
                begin = at
            was = application
            at += n
            if len(self._head) == _TLS_HEADER_BYTES and not self._left:
                self._head = b""
        if at > begin:
            pieces.append((data[begin:at], was))
        return pieces


@dataclass(slots=True)
class Progress:
    """How far one direction of a connection is."""

    down: bool  # from the broker to the board
    spoken: bool = False  # application data has passed
    counted: int = 0  # bytes of it since the fault was set
    free_s: float = 0.0  # a slow line carries something until then (loop time)


@dataclass(frozen=True, slots=True)
class Step:
    """So many bytes may go now, which took a slow line until ``free_s``. None may: look again at
    ``again_s`` (infinite: when something changes). ``cut``: the connection ends after them."""

    n: int = 0
    again_s: float = math.inf
    free_s: float = 0.0
    cut: bool = False


def decide(fault: Fault, chunk: Chunk, progress: Progress, now_s: float) -> Step:
    """What becomes of the oldest bytes that wait."""
    n = len(chunk.data)
    match fault:
        case Blackhole() | HalfOpen():
            return Step()
        case Slow(bytes_per_s, delay_s):
            n = max(1, min(n, int(bytes_per_s * _PIECE_S)))
            due_s = max(chunk.arrived_s + delay_s, progress.free_s) + n / bytes_per_s
            return Step(n, free_s=due_s) if now_s >= due_s else Step(again_s=due_s)
        case Truncate(after_bytes) if progress.down and chunk.application:
            left = max(after_bytes - progress.counted, 0)
            return Step(min(n, left), cut=n >= left)
        case DelayConnack(seconds) if progress.down and chunk.application and not progress.spoken:
            due_s = chunk.arrived_s + seconds
            return Step(n) if now_s >= due_s else Step(again_s=due_s)
    return Step(n)
