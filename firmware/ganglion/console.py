"""The serial line: takes lines, and hands them to command.py. 115200 baud, any terminal.

What is here is what nobody types at; edit.py has the keys (docs/console.md).
"""

import asyncio
import gc
import select
import sys
import time
from asyncio import core

import micropython
from micropython import const

from . import lazy

_HIDDEN = const(1)
_DONE = const(2)
_BAD = const(4)
_LINE = const(15)  # flags of one line
_BATCH = const(64)  # bytes taken in one go: a paste outruns a task that takes one

_line = bytearray()
_prompt = ""  # empty while nobody is asked for anything
_flags = 0
_heard_ms = 0


def _readable(stream):
    yield core._io_queue.queue_read(stream)


def show(text):
    """Print, whatever is being typed meanwhile: it is taken off and put back."""
    if _prompt:
        sys.stdout.write("\r\x1b[K")
    print(text)
    if _prompt:
        sys.stdout.write(_prompt)
        if not _flags & _HIDDEN:
            sys.stdout.buffer.write(_line)


async def ask(prompt, hidden=False):
    """The next line: str, or None where it is not to be used. Only one may ask at a time."""
    global _line, _prompt, _flags, _heard_ms
    stdin = sys.stdin.buffer
    more = select.poll()
    more.register(stdin, select.POLLIN)
    _line = bytearray()
    _flags = _flags & ~_LINE | (_HIDDEN if hidden else 0)
    _prompt = prompt
    sys.stdout.write(prompt)
    try:
        while not _flags & _DONE:
            await _readable(stdin)
            for _ in range(_BATCH):
                byte = stdin.read(1)
                if not byte:  # nobody at the other end
                    await asyncio.sleep(1)
                    break
                now = time.ticks_ms()
                gap = time.ticks_diff(now, _heard_ms)
                _heard_ms = now
                _flags = lazy.load("edit").key(_line, byte, _flags, prompt, gap)
                if _flags & _DONE or not any(more.ipoll(0)):
                    break
        return None if _flags & _BAD else str(_line, "utf-8")
    finally:
        _prompt = ""
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
        except Exception as e:
            sys.print_exception(e)
            gc.collect()
            await asyncio.sleep(1)
        lazy.drop("command")
