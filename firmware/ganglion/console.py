"""The serial line: takes lines, and hands them to command.py. 115200 baud, any terminal.

Here is what waits; what is done where somebody types or something is shown is in edit.py
(docs/console.md).
"""

import asyncio
import gc
import sys
from asyncio import core

import micropython
from micropython import const

from . import lazy

# As in edit.py.
_DONE = const(2)
_BAD = const(4)
_LINE = const(15)

_state = [b"", "", 0, 0]  # what is typed, the prompt (empty: nobody asks), flags, ticks


def _readable(stream):
    yield core._io_queue.queue_read(stream)


def show(text):
    """Print, whatever is being typed meanwhile: it is taken off and put back."""
    lazy.load("edit").show(_state, text)
    if not _state[0]:
        lazy.drop("edit")


async def ask(prompt, hidden=0):
    """The next line: str, or None where it is not to be used. Only one may ask at a time.
    `hidden` 1: what is typed is not shown."""
    state = _state
    state[0] = bytearray()
    state[1] = prompt
    state[2] = state[2] & ~_LINE | hidden
    sys.stdout.write(prompt)
    try:
        while not state[2] & _DONE:
            await _readable(sys.stdin.buffer)
            if not lazy.load("edit").read(state):  # nobody at the other end
                await asyncio.sleep(1)
        return None if state[2] & _BAD else str(state[0], "utf-8")
    finally:
        state[1] = ""
        lazy.drop("edit")


async def run(board):
    """For ever: one line after the other. `board` is the main program (see command.py)."""
    # Noise on the line has Ctrl-C in it, too: what it means is decided in edit.py.
    micropython.kbd_intr(-1)
    print("ganglion: say what you want, or: help")
    while True:
        try:
            text = await ask("> ")
            if text:
                await lazy.load("command").command(board, text.strip(), ask, show)
        except MemoryError:
            gc.collect()
            print("\nThere is no memory for that now; try again.")
            await asyncio.sleep(1)
        except Exception as e:
            sys.print_exception(e)
            await asyncio.sleep(1)
        lazy.drop("command")
