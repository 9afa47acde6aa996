"""Many boards on one connection: what they say on the wire, and their patience. No board is
behind it."""

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from companion.link import PahoLink
from tests.companion.conftest import TOOLS

RETRY_S = 4.0
"""As firmware/ganglion/question.py: so long without an answer, the same ask goes out again."""


class Crowd:
    """The boards ``names``; ``async with crowd(…)`` makes one that is known at the broker."""

    def __init__(self, url: str, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.link = PahoLink(url)
        self.link.subscribe("gn/+/down/answer", self._hear)
        self.answers: defaultdict[tuple[str, str], list[bytes]] = defaultdict(list)
        """Device and ask → each answer or refusal that came, doubled ones too."""
        self.took_s: dict[tuple[str, str], float] = {}
        """Device and ask → from the first asking to the first answer."""
        self.asked_again = 0
        self._inboxes: dict[tuple[str, str], asyncio.Queue[dict[str, Any]]] = {}

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        if not payload:
            return
        message = json.loads(payload)
        key = (topic.split("/")[1], message["id"])
        if "by" in message or "err" in message:
            self.answers[key].append(payload)
        if key in self._inboxes:
            self._inboxes[key].put_nowait(message)

    def announce(self, device: str) -> None:
        """Say who is there and what it can do."""
        status = {"online": True, "boot": 1, "tools": "tools1"}
        self._say(device, "status", json.dumps(status).encode(), retain=True)
        self._say(device, "tools", TOOLS, retain=True)

    def _say(self, device: str, kind: str, payload: bytes, retain: bool = False) -> None:
        self.link.publish(f"gn/{device}/up/{kind}", payload, 1, retain)

    async def ask(
        self, device: str, id_: str, text: str, ms: int = 20_000, late_ms: int = 0
    ) -> dict[str, Any]:
        """The answer or refusal; AssertionError when none came within ``ms``, which the ask says
        to the companion, and ``late_ms``, which it does not."""
        key = (device, id_)
        inbox = self._inboxes[key] = asyncio.Queue()
        body = {"id": id_, "tools": "tools1", "new": [["u", text]], "ms": ms}
        began = time.monotonic()
        self._say(device, "ask", json.dumps(body).encode())
        while True:
            left_s = began + (ms + late_ms) / 1000 - time.monotonic()
            assert left_s > 0, f"{device} got no answer to {id_} within {ms} + {late_ms} ms"
            try:
                message = await asyncio.wait_for(inbox.get(), min(RETRY_S, left_s))
            except TimeoutError:
                message = {}
            if "by" in message or "err" in message:
                self.took_s[key] = time.monotonic() - began
                del self._inboxes[key]
                return message
            if "resend" in message:
                assert message["resend"] == ["tools"], message
                self._say(device, "tools", TOOLS, retain=True)
            if "busy" in message:
                await asyncio.sleep(message["busy"] / 1000)
            self.asked_again += 1
            self._say(device, "ask", json.dumps(body).encode())


@contextlib.asynccontextmanager
async def crowd(url: str, names: Sequence[str]) -> AsyncIterator[Crowd]:
    """Boards that are online; gone after, with all that they had retained."""
    made = Crowd(url, names)
    running = asyncio.create_task(made.link.run())
    await asyncio.wait_for(made.link.connected.wait(), 10)
    for name in names:
        made.announce(name)
    try:
        yield made
    finally:
        for name in names:
            for kind in ("status", "tools"):
                made._say(name, kind, b"", retain=True)
        await asyncio.sleep(0.05)  # to the broker, before the connection ends
        await made.link.close()
        await running
