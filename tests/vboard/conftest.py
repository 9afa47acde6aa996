"""Boards for tests: each runs a firmware of a few lines, and is asked over its serial line."""

from __future__ import annotations

import ast
import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tools.vboard import BoardConfig, VirtualBoard

Make = Callable[..., Awaitable["Bench"]]

JOIN = """
import network, time
def join():
    w = network.WLAN(network.STA_IF)
    w.active(True)
    w.connect("virtual", "virtual-password")
    until = time.ticks_add(time.ticks_ms(), 3000)
    while not w.isconnected() and time.ticks_diff(until, time.ticks_ms()) > 0:
        time.sleep_ms(5)
    return w
"""


class Bench(VirtualBoard):
    """A board that is talked to through MicroPython's own console."""

    async def ask(self, expression: str, seconds: float = 10.0) -> Any:
        """The value of an expression on the board."""
        since = self.serial.end
        self.send(
            f"print('\\x02'+repr({expression})+'\\x03')\n"
        )  # in the echo there is a backslash
        printed = await self.wait_serial(">>> ", seconds, since)
        assert "Traceback" not in printed, printed
        return ast.literal_eval(printed[printed.index("\x02") + 1 : printed.rindex("\x03")])

    async def do(self, line: str) -> None:
        """A statement on the board; returns when it has run."""
        since = self.serial.end
        self.send(f"{line}\n")
        printed = await self.wait_serial(">>> ", since=since)
        assert "Traceback" not in printed, printed

    async def ready(self, boots: int = 1) -> None:
        """Wait for the console of the `boots`-th start."""
        await self.wait_boots(boots)
        await self.wait_serial(">>> ", since=self._boot_began)

    _boot_began = 0

    async def _launch(self) -> None:
        self._boot_began = self.serial.end
        await super()._launch()


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    """``await make(main)`` starts a board with this main.py; all are stopped at the end."""
    stack = contextlib.AsyncExitStack()

    async def made(
        main: str = "", device: str = "bench", wait: bool = True, **options: Any
    ) -> Bench:
        firmware = tmp_path / f"firmware-{device}"
        firmware.mkdir(exist_ok=True)
        (firmware / "main.py").write_text(main)
        options.setdefault("config", BoardConfig())
        board = Bench(tmp_path, device, firmware=firmware, **options)
        await stack.enter_async_context(board)
        if wait:
            await board.ready()
        return board

    yield made
    async with asyncio.timeout(10):
        await stack.aclose()
