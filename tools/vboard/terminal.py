"""A board's serial line on this terminal, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading

from tools.vboard.board import VirtualBoard
from tools.vboard.hardware import BadOperation


async def run(board: VirtualBoard) -> None:
    """Start ``board``, show what it prints, give it the lines typed here; stop it at the end.

    The end is SIGINT (Ctrl-C) or SIGTERM; the end of stdin is none. Raises what
    `VirtualBoard.start` raises.
    """
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    board.serial.listeners.append(_show)

    def typed(line: str) -> None:
        with contextlib.suppress(BadOperation):
            board.send(line)

    def read() -> None:
        # A thread: what stdin is (terminal, pipe, file, /dev/null) then makes no difference.
        with contextlib.suppress(RuntimeError, OSError, ValueError):
            for line in sys.stdin:
                loop.call_soon_threadsafe(typed, line)

    try:
        starting = asyncio.ensure_future(board.start())
        ending = asyncio.ensure_future(end.wait())
        await asyncio.wait((starting, ending), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return
        ending.cancel()
        starting.result()
        if board.note:
            print(f"vboard: {board.note}", file=sys.stderr)
        threading.Thread(target=read, daemon=True).start()
        await end.wait()
    finally:
        await board.stop()


def _show(data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(data.decode(errors="replace"))
        sys.stdout.flush()
