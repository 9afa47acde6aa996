"""NeoPixel (WS2812) strips. Their receipt is read back from what was sent: they answer nothing."""

import binascii

from micropython import const

from . import lazy
from .tool_gpio import output
from .tools import ToolError

_MAX_PIXELS = const(256)  # of all strips: 768 bytes
_NAMES = (
    "off 000000 black 000000 white ffffff warm ffb060 red ff0000 orange ff6000 yellow ffc000 "
    "green 00ff00 cyan 00ffff blue 0000ff purple 8000ff magenta ff00ff pink ff60a0"
)

SPECS = (
    (
        "neopixel_set",
        "Light an LED strip of count pixels, or first to last (from 0) of it. Colour: #rrggbb "
        "or red, green, blue, white, warm, orange, yellow, cyan, purple, magenta, pink, off.",
        "pin:point count:int1..256 colour:str16 brightness?:num0..100 first?:int0..255 "
        "last?:int0..255",
        True,
        "{lit} of {count} pixels of {name} are lit",
    ),
)


def call(kit, name, args):
    guard = kit.guard
    gpio = output(kit, args["pin"])[0]
    count = args["count"]
    first = args.get("first", 0)
    last = args.get("last", count - 1)
    if not first <= last < count:
        raise ToolError("bad_args", "first to last must lie in 0 to %d" % (count - 1))
    red, green, blue = rgb(args["colour"], args.get("brightness", 100))
    driver = guard.device("neopixel")
    try:
        strips = driver.strips
        others = sum([len(strips[n]) for n in strips if n != gpio])
        if others + 3 * count > 3 * _MAX_PIXELS:
            raise ToolError("full", "all strips together have %d pixels at most" % _MAX_PIXELS)
        colours = bytearray(3 * count)
        # What a strip shows and is not told anew stays.
        was = strips.get(gpio, b"")
        colours[: min(len(was), len(colours))] = was[: len(colours)]
        for at in range(3 * first, 3 * last + 3, 3):
            colours[at : at + 3] = bytes((green, red, blue))
        _show(guard, driver, gpio, colours)
        lit = 0
        shown = strips[gpio]
        for at in range(0, len(shown), 3):
            lit += any(shown[at : at + 3])
        at = 3 * first
        receipt = {
            "lit": lit,
            "count": len(shown) // 3,
            "first": first,
            "last": last,
            "colour": "#%02x%02x%02x" % (shown[at + 1], shown[at], shown[at + 2]),
        }
        if not lit:
            del strips[gpio]
            guard.free(gpio)
        return receipt
    finally:
        if not driver.strips:
            lazy.drop("hw_neopixel")


def _show(guard, driver, gpio, colours):
    new = gpio not in guard.uses
    guard.take(gpio, "neopixel", True)
    try:
        guard.drive(gpio, any(colours), lambda: driver.show(gpio, colours))
    except Exception as e:
        if new:
            guard.free(gpio)
        if isinstance(e, (ValueError, OSError)):
            raise ToolError("device", "pin %d: %s" % (gpio, e)) from None
        raise


def rgb(colour, brightness):
    """`(red, green, blue)`, 0 to 255, of a name or #rrggbb, at so many % of it."""
    text = colour.lower()
    if text.startswith("#"):
        text = text[1:]
    else:
        words = _NAMES.split()
        if text not in words[::2]:
            raise ToolError(
                "bad_args",
                "colour must be #rrggbb or one of %s, not '%s'" % (", ".join(words[::2]), colour),
            )
        text = words[words.index(text) + 1]
    try:
        parts = binascii.unhexlify(text)
    except ValueError:
        parts = b""
    if len(parts) != 3:
        raise ToolError("bad_args", "colour must be # and six hex digits")
    return [int(part * brightness / 100 + 0.5) for part in parts]
