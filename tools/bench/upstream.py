"""A provider's API on loopback that always says the same, as fast as can be.

Run as `python -m tools.bench.upstream`; prints its port. `POST` to any path gets one fixed chat
completion with a tool call and usage; `GET /last` the body of the newest `POST`, `GET /count` how
many there were.
"""

from __future__ import annotations

import asyncio
import json
from typing import cast

import httptools

COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1_760_000_000,
    "model": "bench-model",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "The lamp is on.",
                "tool_calls": [
                    {
                        "id": "call00001",
                        "type": "function",
                        "function": {"name": "gpio_write", "arguments": '{"pin":5,"value":1}'},
                    }
                ],
            },
        }
    ],
    "usage": {
        "prompt_tokens": 4200,
        "completion_tokens": 32,
        "total_tokens": 4232,
        "prompt_tokens_details": {"cached_tokens": 4096},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


_ANSWER = _response(json.dumps(COMPLETION).encode())


class Seen:
    """What came so far."""

    count = 0
    last = b""


class Upstream(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._url = b""
        self._body: list[bytes] = []
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = b""
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"POST":
            self._seen.count += 1
            self._seen.last = b"".join(self._body)
            self._transport.write(_ANSWER)
        elif self._url == b"/last":
            self._transport.write(_response(self._seen.last))
        else:
            self._transport.write(_response(str(self._seen.count).encode()))


async def main() -> None:
    """Serve until killed."""
    seen = Seen()
    server = await asyncio.get_running_loop().create_server(lambda: Upstream(seen), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
