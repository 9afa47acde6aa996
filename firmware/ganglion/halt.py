"""Ctrl-C on the serial line: from the agent to MicroPython's own prompt."""

import machine
import micropython
from micropython import const

# A watchdog cannot be stopped, only be given more time; and a board that somebody left at the
# prompt goes back to its work, as from safe mode.
_BACK_MS = const(600000)


def halt(board):
    """Nothing of the agent runs any more: outputs go to their safe levels. Max-on times, which a
    hardware timer keeps, hold at the prompt as well."""
    try:
        if board.kit:
            board.kit.guard.safe()
        if board.agent:
            # The broker would see it a minute later only: the connection stays open.
            board.link.publish("status", board.agent.will(), True)
    finally:
        micropython.kbd_intr(3)
        machine.WDT(timeout=_BACK_MS)
        print(
            "\nganglion: stopped, outputs are safe; this is MicroPython's own prompt.\n"
            "Ctrl-D starts it again, and so does the watchdog in 10 minutes."
        )
