# `micropython` with the console's own word on Ctrl-C: on a chip it is the serial driver that makes
# an interrupt of it, here the launcher, which looks at the byte.
from _hw import mem
from micropython import *  # noqa: F403

_CTRL_C = const(14)  # noqa: F405


def kbd_intr(char):
    """3: Ctrl-C interrupts. -1: it is a byte like others."""
    mem[_CTRL_C] = char < 0
