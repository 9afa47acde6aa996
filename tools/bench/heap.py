"""The chip's heap: what stays, what is alive at the worst moment of a turn, what is enough.

The board is the virtual one, 32-bit; the companion's part is played by the bench, which asks for
everything that can be asked for: the conversation, the facts and the specs again, then eight
calls and a text of the greatest length.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tools.bench.report import Figures
from tools.broker import EmbeddedBroker
from tools.paths import ROOT
from tools.problem import Problem
from tools.vboard import BoardConfig, VirtualBoard, layout

HEAP_KIB = 96
_DEVICE = "demo"
_TEXT = "x" * 1024
_CALLS = [["gpio_write", {"pin": pin, "value": 1}] for pin in (5, 13, 14, 15, 16, 17, 18, 19)]


class _Greedy:
    """Says, and answers every ask in the way that costs the device most."""

    def __init__(self, port: int, user: str, secret: str) -> None:
        self.boot = 0
        self.replies = 0
        self._asked: set[str] = set()
        self._n = 0
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, user)
        self.client.username_pw_set(user, secret)
        self.client.on_connect = lambda c, *_: c.subscribe(f"gn/{_DEVICE}/up/#", 1)
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, _client: Any, _user: Any, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload)
        leaf = message.topic.rsplit("/", 1)[1]
        if leaf == "status" and body["online"]:
            self.boot = body["boot"]
        elif leaf == "reply":
            self.replies += 1
        elif leaf == "ask":
            self._answer(body)

    def _answer(self, ask: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": ask["id"]}
        if ask.get("want") == "time":
            answer["time"] = int(time.time())
        elif ask["id"] not in self._asked:
            self._asked.add(ask["id"])
            answer["resend"] = ["ctx", "mem", "tools"]
        else:
            answer |= {"by": "premium/greedy", "calls": _CALLS, "say": _TEXT}
        self._send("answer", answer)

    def _send(self, leaf: str, body: dict[str, Any]) -> None:
        self.client.publish(f"gn/{_DEVICE}/down/{leaf}", json.dumps(body), 1)

    def command(self, leaf: str, **fields: Any) -> None:
        """A say or do with an id of its own."""
        self._n += 1
        exp = int(time.time()) + 60
        self._send(leaf, {"id": f"bench-{self._n}", "boot": self.boot, "exp": exp, **fields})

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def _turns(folder: Path, heap_kib: int, firmware: Path, turns: int, limit_s: float) -> str:
    """Boot, fill the memory, talk; what the serial line printed. TimeoutError when it fails."""
    with EmbeddedBroker(folder / "broker") as broker, contextlib.ExitStack() as stack:
        greedy = _Greedy(broker.port, *broker.add_service("bench"))
        stack.callback(greedy.close)
        config = BoardConfig(broker.add(_DEVICE), "127.0.0.1", broker.port)
        board = VirtualBoard(folder, _DEVICE, config, firmware=firmware, heap_kib=heap_kib)
        with _shown(board):
            async with board, asyncio.timeout(limit_s):
                await _talk(board, greedy, turns)
        return board.serial.since(0)


async def _talk(board: VirtualBoard, greedy: _Greedy, turns: int) -> None:
    async def until(what: str, n: int) -> None:
        while getattr(greedy, what) < n:
            if board.boots > 1:
                raise TimeoutError("it started again")
            await asyncio.sleep(0.005)

    await until("boot", 1)
    await asyncio.sleep(0.3)  # the clock
    for n in range(8):
        greedy.command("do", tool="memory_set", args={"key": f"k{n}", "value": "v" * 180})
        greedy.command("do", tool="point_set", args={"name": f"lamp {n}", "pin": 5})
    for n in range(turns):
        greedy.command("say", text="turn on the lights in the kitchen, " * 4)
        await until("replies", n + 1)
    await asyncio.sleep(1.5)  # it says once a second what stays


def _run(heap_kib: int, firmware: Path, turns: int, limit_s: float = 30) -> str:
    with tempfile.TemporaryDirectory(prefix="gn-heap-") as name:
        return asyncio.run(_turns(Path(name), heap_kib, firmware, turns, limit_s))


@contextlib.contextmanager
def _shown(board: VirtualBoard) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise TimeoutError(f"{error}\n{board.serial.since(0)[-2000:]}") from None


def _enough(heap_kib: int) -> bool:
    """Does the plain firmware get through its worst turns in this heap?"""
    try:
        text = _run(heap_kib, ROOT / "firmware", 4, 12)
    except (TimeoutError, Problem):
        return False
    return "MemoryError" not in text and "memory allocation failed" not in text


def run(turns: int = 8) -> Figures:
    """Bytes by MicroPython's own count (`gc.mem_alloc` after a collection), and KiB that do."""
    with tempfile.TemporaryDirectory(prefix="gn-fw-") as name:
        firmware = Path(name) / "firmware"
        shutil.copytree(ROOT / "firmware", firmware)
        shutil.copy(Path(__file__).with_name("heap_main.py"), firmware / "main.py")
        text = _run(HEAP_KIB, firmware, turns)
    # The stand-ins and what fills them up (tools/vboard/standins/_boot.py) are no part of a chip's.
    # The table of names doubles for the sixth time only where their names are in it.
    own = layout.STANDIN_HEAP
    if "n_pool=6" not in text:
        own -= layout.NAMES_BYTES
    peaks = [int(n) for n in re.findall(r"@peak (\d+)", text)]
    retained = [int(n) for n in re.findall(r"@retained (\d+)", text)]
    if not peaks or not retained:
        raise Problem(f"the board printed no figures:\n{text[-2000:]}")
    low, high = 48, HEAP_KIB
    while high - low > 1:
        middle = (low + high) // 2
        print(f"  heap: {middle} KiB …", file=sys.stderr)
        low, high = (low, middle) if _enough(middle) else (middle, high)
    return {
        "heap_retained_bytes": max(retained) - own,
        "heap_peak_bytes": max(peaks) - own,
        "heap_enough_kib": high,
    }
