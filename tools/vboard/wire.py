"""A wire from a pad of one virtual board to a pad of another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.vboard.board import VirtualBoard

_LOOK_S = 0.002


@contextlib.asynccontextmanager
async def wired(
    board: VirtualBoard, pin: int, other: VirtualBoard, other_pin: int
) -> AsyncIterator[None]:
    """What drives ``pin`` of ``board`` drives ``other_pin`` of ``other`` while inside.

    One way, looked at every 2 ms: shorter pulses are lost, and pulls are not carried. Both boards
    have to run for as long. BadOperation: no such pin.
    """
    source = board.hardware.pad(pin)
    other.hardware.pad(other_pin)

    async def carry() -> None:
        # Every time and not on a change only: whoever else drove the pad must not stay.
        while True:
            other.drive(other_pin, source.made())
            await asyncio.sleep(_LOOK_S)

    task = asyncio.create_task(carry())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        other.drive(other_pin, None)
