"""NeoPixel strips. In the heap while one is lit: a strip cannot be asked for its colours."""

from machine import Pin, bitstream

# WS2812B datasheet: T0H, T0L, T1H, T1L in ns.
_TIMING = (400, 850, 800, 450)

strips = {}  # gpio -> its colours, three bytes a pixel in the strip's order: G, R, B


def show(gpio, colours):
    bitstream(Pin(gpio, Pin.OUT, value=0), 0, _TIMING, colours)
    strips[gpio] = colours
