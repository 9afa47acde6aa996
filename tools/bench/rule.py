"""Reading to pad: from the moment an input changes to the moment the output has followed.

Both moments are the virtual board's own: the launcher knows when it drove the input, and the pad's
register says when the firmware wrote it. The board is connected, and tells of each run.

Rules look at pins every 5 ms and at an ADC once a second (docs/limits.md), so the two are apart.
The floor is a bare MicroPython loop on the same board that does nothing but copy pin to pin; it
takes a whole core for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.bench.report import Figures, percentile
from tools.bench.requester import Requester
from tools.broker import EmbeddedBroker
from tools.problem import Problem
from tools.vboard import BoardConfig, VirtualBoard

EDGES = 400
CROSSINGS = 20
_IN, _OUT, _ADC, _ADC_OUT = 4, 5, 34, 13
_FLOOR = f"""
from machine import Pin
i = Pin({_IN}, Pin.IN)
o = Pin({_OUT}, Pin.OUT, value=0)
print("copying")
while True:
    o.value(i.value())
"""


async def until(what: str, true: Callable[[], object], seconds: float = 20) -> None:
    """Wait until ``true()``; Problem naming ``what``."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Problem(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.0005)


async def _followed(board: VirtualBoard, pin: int, level: int, began_ns: int) -> float:
    """Milliseconds from ``began_ns`` to the change of an output pad."""
    await until(f"pad {pin} at {level}", lambda: board.level(pin) == level, 5)
    return (board.hardware.changed_ns(pin) - began_ns) / 1e6


async def _edges(board: VirtualBoard, n: int, what: str) -> list[float]:
    """Latency of each of ``n`` edges, at moments that have nothing to do with the firmware's."""
    rng = random.Random(1)
    took = []
    for i in range(n):
        if i % 100 == 0:
            print(f"  rule: {what}, edge {i} of {n} …", file=sys.stderr)
        await asyncio.sleep(rng.uniform(0.03, 0.06))
        began_ns = time.time_ns()
        board.drive(_IN, 1 - i % 2)
        took.append(await _followed(board, _OUT, 1 - i % 2, began_ns))
    return took


async def _crossings(board: VirtualBoard, n: int) -> list[float]:
    rng = random.Random(2)
    took = []
    for i in range(n):
        await asyncio.sleep(rng.uniform(0.1, 1.1))
        began_ns = time.time_ns()
        board.adc(_ADC, 200 if i % 2 else 2500)
        took.append(await _followed(board, _ADC_OUT, 1 - i % 2, began_ns))
        if i % 5 == 0:
            print(f"  rule: ADC, crossing {i} of {n} …", file=sys.stderr)
    return took


async def _rules(requester: Requester) -> None:
    for level in (0, 1):
        await requester.do(
            "rule_set",
            name=f"pin {level}",
            read=_IN,
            tool="gpio_write",
            args={"pin": _OUT, "value": level},
            **{"is": "on" if level else "off"},
        )
        await requester.do(
            "rule_set",
            name=f"volt {level}",
            sensor={"tool": "adc_read", "args": {"pin": _ADC}, "field": "mv"},
            value=1000,
            tool="gpio_write",
            args={"pin": _ADC_OUT, "value": level},
            **{"is": "above" if level else "below"},
        )


async def _agent(folder: Path, edges: int, crossings: int) -> Figures:
    with EmbeddedBroker(folder / "broker") as broker, contextlib.ExitStack() as stack:
        requester = Requester("demo", broker.port, *broker.add_service("bench"))
        stack.callback(requester.close)
        config = BoardConfig(broker.add("demo"), "127.0.0.1", broker.port)
        async with VirtualBoard(folder, "demo", config) as board:
            board.drive(_IN, 0)
            board.adc(_ADC, 200)
            await until("the board, with the time", lambda: requester.clock, 60)
            await _rules(requester)
            await asyncio.sleep(1.5)
            pin = await _edges(board, edges, "pin")
            adc = await _crossings(board, crossings)
    return {
        "rule_p50_ms": percentile(pin, 0.5),
        "rule_p99_ms": percentile(pin, 0.99),
        "rule_worst_ms": max(pin),
        "rule_adc_p50_ms": percentile(adc, 0.5),
        "rule_adc_worst_ms": max(adc),
    }


async def _floor(folder: Path, edges: int) -> Figures:
    firmware = folder / "copy"
    firmware.mkdir()
    (firmware / "main.py").write_text(_FLOOR)
    async with VirtualBoard(folder, "floor", BoardConfig(), firmware=firmware) as board:
        board.drive(_IN, 0)
        await board.wait_serial("copying")
        took = await _edges(board, edges, "floor")
    return {
        "rule_floor_p50_ms": percentile(took, 0.5),
        "rule_floor_p99_ms": percentile(took, 0.99),
    }


def run(edges: int = EDGES, crossings: int = CROSSINGS) -> Figures:
    """Milliseconds. `rule_*` is the path of pins, `rule_adc_*` that of an ADC."""
    with tempfile.TemporaryDirectory(prefix="gn-rule-") as name:
        figures = asyncio.run(_agent(Path(name), edges, crossings))
        return figures | asyncio.run(_floor(Path(name), edges))
