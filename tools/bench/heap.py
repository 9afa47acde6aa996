"""The chip's heap: what stays, what is alive at the worst moment of a turn, what is enough.

The board is the virtual one, 32-bit; the companion's part is played by the bench, which asks for
everything that can be asked for: the conversation, the facts and the specs again, then eight
calls and a text of the greatest length.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.bench.report import Figures
from tools.bench.requester import Requester
from tools.broker import EmbeddedBroker
from tools.paths import ROOT
from tools.problem import Problem
from tools.vboard import BoardConfig, VirtualBoard, layout

HEAP_KIB = 96
_FULL_KIB = 160
_NAMES = 620  # 20 + 40 + … + 320: what MicroPython's first five tables hold
_DEVICE = "demo"
_TEXT = "x" * 1024
_CALLS = [["gpio_write", {"pin": pin, "value": 1}] for pin in (5, 13, 14, 15, 16, 17, 18, 19)]


class _Greedy(Requester):
    """Says, and answers every ask in the way that costs the device most."""

    def __init__(self, port: int, user: str, secret: str) -> None:
        self.replies = 0
        self._asked: set[str] = set()
        super().__init__(_DEVICE, port, user, secret)

    def take(self, leaf: str, body: dict[str, Any]) -> None:
        super().take(leaf, body)
        if leaf == "reply":
            self.replies += 1
        elif leaf == "ask" and body.get("want") != "time":
            answer: dict[str, Any] = {"id": body["id"]}
            if body["id"] not in self._asked:
                self._asked.add(body["id"])
                answer["resend"] = ["ctx", "mem", "tools"]
            else:
                answer |= {"by": "premium/greedy", "calls": _CALLS, "say": _TEXT}
            self.send("answer", answer)


async def _turns(
    folder: Path, heap_kib: int, firmware: Path, turns: int, limit_s: float, full: bool
) -> str:
    """Boot, fill the memory, talk; what the serial line printed. TimeoutError when it fails."""
    with EmbeddedBroker(folder / "broker") as broker, contextlib.ExitStack() as stack:
        greedy = _Greedy(broker.port, *broker.add_service("bench"))
        stack.callback(greedy.close)
        config = BoardConfig(broker.add(_DEVICE), "127.0.0.1", broker.port)
        board = VirtualBoard(folder, _DEVICE, config, firmware=firmware, heap_kib=heap_kib)
        with _shown(board):
            async with board, asyncio.timeout(limit_s):
                await _talk(board, greedy, turns, full)
        return board.serial.since(0)


async def _talk(board: VirtualBoard, greedy: _Greedy, turns: int, full: bool) -> None:
    boots = 1

    async def until(what: str, n: int) -> None:
        while getattr(greedy, what) < n:
            if board.boots > boots:
                raise TimeoutError("it started again")
            await asyncio.sleep(0.005)

    await until("boot", 1)
    await asyncio.sleep(0.3)  # the clock
    if full:
        await _fill(greedy)
        # Everything is loaded as at a start, without what the filling left behind.
        before, boots = greedy.boot, 2
        await board.reset()
        await until("boot", before + 1)
        await asyncio.sleep(1)
    else:
        for n in range(8):
            greedy.command("do", tool="memory_set", args={"key": f"k{n}", "value": "v" * 180})
            greedy.command("do", tool="point_set", args={"name": f"lamp {n}", "pin": 5})
    replies = greedy.replies
    for n in range(turns):
        greedy.command("say", text="turn on the lights in the kitchen, " * 4)
        await until("replies", replies + n + 1)
    await asyncio.sleep(1.5)  # it says once a second what stays


async def _fill(greedy: _Greedy) -> None:
    """64 points and facts, 32 schedules, 32 rules, 24 routines: every bound."""
    for n in range(64):
        pin = (5, 13, 14, 15, 16, 17, 18, 19)[n % 8]
        await greedy.do("point_set", name=f"lamp {n} upstairs", pin=pin)
        await greedy.do("memory_set", key=f"fact number {n}", value="it is so " * 4)
    act = {"tool": "gpio_write", "args": {"pin": "lamp 1 upstairs", "value": 1}}
    for n in range(32):
        await greedy.do("schedule_set", name=f"wake {n}", when=f"{n} 3 * * *", **act)
        await greedy.do("rule_set", name=f"door {n}", read=4, **{"is": "on"}, for_s=60, **act)
    for n in range(24):
        program = {
            "name": f"routine {n}",
            "phrases": [f"please do number {n}"],
            "do": [{"call": ["gpio_write", act["args"]]}, {"wait": 5}],
            "finally": [{"call": ["gpio_write", {"pin": "lamp 1 upstairs", "value": 0}]}],
        }
        receipt = await greedy.do("routine_define", program=program)
        await greedy.do("routine_approve", token=receipt["token"])


def _run(heap_kib: int, firmware: Path, turns: int, limit_s: float = 30, full: bool = False) -> str:
    with tempfile.TemporaryDirectory(prefix="gn-heap-") as name:
        return asyncio.run(_turns(Path(name), heap_kib, firmware, turns, limit_s, full))


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


def _probed(turns: int, heap_kib: int, full: bool) -> tuple[int, int]:
    """Bytes that stay and bytes at the worst moment, without what only the virtual board has."""
    with tempfile.TemporaryDirectory(prefix="gn-fw-") as name:
        firmware = Path(name) / "firmware"
        shutil.copytree(ROOT / "firmware", firmware)
        shutil.copy(Path(__file__).with_name("heap_main.py"), firmware / "main.py")
        text = _run(heap_kib, firmware, turns, 240 if full else 30, full)
    # After the filling it has started anew; what counts is since then.
    text = text[text.rindex("ganglion: boot ") :]
    own = layout.STANDIN_HEAP
    names = max((int(n) for n in re.findall(r"n_qstr=(\d+)", text)), default=0)
    if "n_pool=6" not in text or names - layout.STANDIN_NAMES > _NAMES:
        # The table of names doubles for the sixth time where the stand-ins' are in it; with very
        # many it does so on a chip, too.
        own -= layout.NAMES_BYTES
    peaks = [int(n) for n in re.findall(r"@peak (\d+)", text)]
    retained = [int(n) for n in re.findall(r"@retained (\d+)", text)]
    if not peaks or not retained:
        raise Problem(f"the board printed no figures:\n{text[-2000:]}")
    return max(retained) - own, max(peaks) - own


def run(turns: int = 8) -> Figures:
    """Bytes by MicroPython's own count (`gc.mem_alloc` after a collection), and KiB that do.

    `full`: every table is full. It is measured in a larger heap, so that the figure says what it
    takes even where that is too much.
    """
    retained, peak = _probed(turns, HEAP_KIB, False)
    figures: Figures = {"heap_retained_bytes": retained, "heap_peak_bytes": peak}
    low, high = 48, HEAP_KIB
    while high - low > 1:
        middle = (low + high) // 2
        print(f"  heap: {middle} KiB …", file=sys.stderr)
        low, high = (low, middle) if _enough(middle) else (middle, high)
    figures["heap_enough_kib"] = high
    print("  heap: filling every table …", file=sys.stderr)
    retained, peak = _probed(turns, _FULL_KIB, True)
    return figures | {"heap_full_retained_bytes": retained, "heap_full_peak_bytes": peak}
