"""HTTP clients that post prompts, one after the other on a kept connection each.

As lean as the simulated devices of `load.py`, so that the driver takes no more of the machine
from a gateway than those take from the companion.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import cast

import httptools

from tools.bench.load import Tally


class Client(asyncio.Protocol):
    """One connection with one request in flight, while `go()` says so."""

    def __init__(
        self, requests: Sequence[bytes], tally: Tally, go: Callable[[], bool], offset: int
    ) -> None:
        self._requests = requests
        self._tally = tally
        self._go = go
        self._n = offset
        self._sent_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._parser = httptools.HttpResponseParser(self)

    def post(self) -> None:
        """Send the next prompt."""
        self._n += 1
        self._sent_at = time.perf_counter()
        self._tally.sent += 1
        self._transport.write(self._requests[self._n % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            self._tally.refused += 1
        self._tally.latencies.append(time.perf_counter() - self._sent_at)
        if self._go():
            self.post()

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


def request(port: int, body: bytes, key: str = "") -> bytes:
    """A chat completion's request, whole."""
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{bearer}\r\n"
    )
    return head.encode() + body


async def run(
    port: int,
    requests: Sequence[bytes],
    clients: int,
    seconds: float,
    cpu_seconds: Callable[[], float],
) -> Tally:
    """Every client posts as fast as it is answered, for `seconds`."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    going = True
    made = []
    for n in range(clients):
        _, client = await loop.create_connection(
            lambda n=n: Client(requests, tally, lambda: going, n * 7),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        made.append(client)
    cpu, began = cpu_seconds(), time.perf_counter()
    for client in made:
        client.post()
    await asyncio.sleep(seconds)
    going = False
    tally.took_s, tally.cpu_s = time.perf_counter() - began, cpu_seconds() - cpu
    in_time = list(tally.latencies)
    await asyncio.sleep(0.5)
    tally.latencies = in_time
    for client in made:
        client.close()
    return tally
