"""The serial line: reads lines, and hands them to command.py. 115200 baud, any terminal."""

import asyncio
import sys
from asyncio import core

from micropython import const

from . import lazy

_MAX_LINE_BYTES = const(1100)


def _readable(stream):
    yield core._io_queue.queue_read(stream)


async def run(board):
    """For ever: one line after the other. `board` is the main program (see command.py)."""
    print("ganglion: say what you want, or: status, points, safe off, reboot, help")
    stdin = sys.stdin.buffer
    line = bytearray()
    while True:
        await _readable(stdin)
        c = stdin.read(1)
        if not c:  # nobody at the other end
            await asyncio.sleep(1)
        elif c not in b"\r\n":
            if len(line) < _MAX_LINE_BYTES:
                line.extend(c)
        elif line:
            try:
                lazy.load("command").command(board, bytes(line))
            except Exception as e:
                sys.print_exception(e)
            lazy.drop("command")
            line = bytearray()
