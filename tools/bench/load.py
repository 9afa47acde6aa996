"""Simulated devices: many MQTT 3.1.1 connections on one loop, each with one ask in flight.

Simulated means: the wire of docs/protocol.md and nothing behind it. They cost the machine as
little as can be, so that what is measured is the companion and the broker.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

# What devices say: spread over pins and forms, so that no cache of one sentence answers all.
SENTENCES = tuple(
    form.format(pin)
    for pin in (2, 4, 5, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23, 25, 26, 27, 32, 33)
    for form in (
        "turn on pin {}",
        "turn pin {} off",
        "could you switch pin {} on please",
        "is pin {} on?",
        "set gpio {} high",
        "kill pin {}",
    )
)


def topic(device: str, branch: str, leaf: str) -> str:
    """`gn/<device>/<up|down>/<leaf>`."""
    return f"gn/{device}/{branch}/{leaf}"


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    out = bytearray((kind,))
    left = len(body)
    while True:
        left, digit = left >> 7, left & 127
        out.append(digit | 128 if left else digit)
        if not left:
            return bytes(out) + body


def publish(name: str, payload: bytes, pid: int, *, retain: bool = False) -> bytes:
    """A PUBLISH at QoS 1."""
    return _packet(0x32 | retain, _string(name) + struct.pack(">H", pid) + payload)


@dataclass
class Tally:
    """What one run measured. Latencies in seconds, from sending an ask to its answer."""

    # A companion answers a doubled ask from its memory, so no two runs may share ids.
    run: str = field(default_factory=lambda: secrets.token_hex(3))
    latencies: list[float] = field(default_factory=list)
    sent: int = 0
    refused: int = 0  # answers that were an error: a fast refusal is no answer
    why: str = ""  # the first of them
    took_s: float = 0.0
    cpu_s: float = 0.0  # what the worker spent meanwhile


class SimulatedDevice(asyncio.Protocol):
    """Connects, announces itself, then asks, one sentence after the other, while `go()` says so."""

    def __init__(
        self,
        device: str,
        secret: str,
        announce: list[tuple[str, bytes]],
        tools: str,
        tally: Tally,
        go: Callable[[], bool],
        offset: int,
        sentences: Sequence[str] = SENTENCES,
    ) -> None:
        self.device = device
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._secret = secret
        self._announce = announce
        self._tools = tools
        self._tally = tally
        self._go = go
        self._n = offset
        self._sentences = sentences
        self._pid = 0
        self._sent_at = 0.0
        self._ask_topic = topic(device, "up", "ask")
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        body = _string("MQTT") + bytes((4, 0xC2, 0, 0))
        body += _string(self.device) + _string(self.device) + _string(self._secret)
        self._transport.write(_packet(0x10, body))

    def _next_pid(self) -> int:
        self._pid = self._pid % 65535 + 1
        return self._pid

    def ask(self) -> None:
        """Send the next sentence."""
        text = self._sentences[self._n % len(self._sentences)]
        self._n += 1
        payload = json.dumps(
            {"id": f"{self._tally.run}-{self._n:x}.1", "tools": self._tools, "new": [["u", text]]},
            separators=(",", ":"),
        )
        self._sent_at = time.perf_counter()
        self._tally.sent += 1
        self._transport.write(publish(self._ask_topic, payload.encode(), self._next_pid()))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        while end - at >= 2:
            length, shift, p = 0, 0, at + 1
            while p < end:
                digit = data[p]
                p += 1
                length |= (digit & 127) << shift
                shift += 7
                if digit < 128:
                    break
            else:
                break
            if p + length > end:
                break
            self._packet_in(data[at] >> 4, data[p : p + length])
            at = p + length
        self._rest = data[at:]

    def _packet_in(self, kind: int, body: bytes) -> None:
        if kind == 3:
            n = 2 + (body[0] << 8 | body[1])
            self._transport.write(b"\x40\x02" + body[n : n + 2])
            if b'"busy"' in body:
                asyncio.get_running_loop().call_later(0.05, self.ask)
                return
            if b'"err"' in body:
                self._tally.refused += 1
                self._tally.why = self._tally.why or body[n + 2 :].decode(errors="replace")
            self._tally.latencies.append(time.perf_counter() - self._sent_at)
            if self._go():
                self.ask()
        elif kind == 2:
            if body[1]:
                self.ready.set_exception(ConnectionError(f"{self.device}: CONNACK {body[1]}"))
                return
            for name, payload in self._announce:
                self._transport.write(publish(name, payload, self._next_pid(), retain=True))
            where = _string(topic(self.device, "down", "answer"))
            self._transport.write(_packet(0x82, b"\xff\xff" + where + b"\x01"))
        elif kind == 9 and not self.ready.done():
            self.ready.set_result(None)

    def close(self) -> None:
        """Say goodbye and hang up."""
        self._transport.write(b"\xe0\x00")
        self._transport.close()


def tools_hash(tools: list[bytes]) -> str:
    """What stands for the specs in these messages of `up/tools`."""
    return str(json.loads(tools[0])["hash"])


def announcement(device: str, tools: list[bytes]) -> list[tuple[str, bytes]]:
    """Status and tool specs as a real board sends them."""
    status = {
        "online": True,
        "boot": 1,
        "fw": "bench",
        "board": "simulated",
        "tools": tools_hash(tools),
        "heap": 40000,
        "up": 1,
        "clock": True,
        "safe": False,
        "reset": "power_on",
    }
    told = [(topic(device, "up", "status"), json.dumps(status).encode())]
    for n, message in enumerate(tools, 1):
        told.append((topic(device, "up", "tools" if n == 1 else f"tools/{n}"), message))
    return told


async def run(
    host: str,
    port: int,
    credentials: list[tuple[str, str]],
    tools: list[bytes],
    seconds: float,
    cpu_seconds: Callable[[], float],
    sentences: Sequence[str] = SENTENCES,
    state: bytes = b"",
) -> Tally:
    """Every device asks as fast as it is answered, for `seconds`.

    `cpu_seconds` is read when all devices are connected and known, and again at the end.
    `state`: what each says of its points, if anything.
    """
    loop = asyncio.get_running_loop()
    tally = Tally()
    going = True
    devices = []
    apart = max(7, len(sentences) // len(credentials))
    for offset, (device, secret) in enumerate(credentials):
        announce = announcement(device, tools)
        if state:
            announce.append((topic(device, "up", "state"), state))
        _, protocol = await loop.create_connection(
            lambda d=device, s=secret, a=announce, o=offset: SimulatedDevice(  # type: ignore[misc]
                d, s, a, tools_hash(tools), tally, lambda: going, o * apart, sentences
            ),
            host,
            port,
        )
        devices.append(protocol)
        await asyncio.wait_for(protocol.ready, 30)
    # The announcements have to reach the worker before the first ask is timed.
    await asyncio.sleep(0.5 + len(devices) / 1000)
    cpu, began = cpu_seconds(), time.perf_counter()
    for protocol in devices:
        protocol.ask()
    await asyncio.sleep(seconds)
    going = False
    tally.took_s, tally.cpu_s = time.perf_counter() - began, cpu_seconds() - cpu
    in_time = list(tally.latencies)
    await asyncio.sleep(0.5)
    tally.latencies = in_time
    for protocol in devices:
        protocol.close()
    return tally
