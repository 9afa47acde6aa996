"""The one path to a pin. Nothing else in the firmware may touch `machine.Pin`.

Every call reads the pad back after acting: a receipt says what the hardware shows, not what
was asked for.
"""

import time

from machine import Pin
from micropython import const

_SETTLE_US = const(20)


class Refused(Exception):
    """The guard's no; `args[0]` is a sentence for a person."""


class Guard:
    def __init__(self, board):
        """`board` is a module of boards/: NAME, IO, IN, DENIED."""
        self.board = board
        self._pins = {}  # gpio -> Pin, for those in use
        self._out = 0  # bit mask of those set up as outputs

    def check(self, gpio, output):
        """Raises `Refused` unless the board lets this pin be driven (or read)."""
        board = self.board
        if gpio in board.IO or (not output and gpio in board.IN):
            return
        if gpio in board.IN:
            raise Refused("pin %d can only be read on this board" % gpio)
        for first, last, why in board.DENIED:
            if first <= gpio <= last:
                raise Refused("pin %d %s" % (gpio, why))
        raise Refused("this board has no pin %d" % gpio)

    def is_output(self, gpio):
        return bool(self._out >> gpio & 1)

    def in_use(self):
        """GPIO numbers set up since boot, sorted."""
        return sorted(self._pins)

    def write(self, gpio, level):
        """Drive a pin to 0 or 1; returns the level its pad then shows. Raises `Refused`."""
        self.check(gpio, True)
        if self._out >> gpio & 1:
            pin = self._pins[gpio]
            pin.value(level)
        else:
            # The level goes in with the mode: no glitch through the other level.
            pin = self._pins[gpio] = Pin(gpio, Pin.OUT, value=level)
            self._out |= 1 << gpio
        time.sleep_us(_SETTLE_US)
        return pin.value()

    def read(self, gpio):
        """The level of a pad; a pin not in use becomes an input. Raises `Refused`."""
        pin = self._pins.get(gpio)
        if pin is None:
            self.check(gpio, False)
            pin = self._pins[gpio] = Pin(gpio, Pin.IN)
        return pin.value()

    def release(self, gpio):
        """Back to a plain input."""
        if gpio in self._pins:
            self._pins[gpio] = Pin(gpio, Pin.IN)
            self._out &= ~(1 << gpio)
