"""Pulses: on now, off by itself. The timer is the chip's, so nothing waits meanwhile."""

from . import clock
from .tool_gpio import mismatch, output
from .tools import ToolError

SPECS = (
    (
        "gpio_pulse",
        "Set an output on now and off after ms. Again: it ends ms from then.",
        "pin:point ms:int1..600000",
        True,
        "",
    ),
)


def call(kit, name, args):
    gpio, point = output(kit, args["pin"])
    ms = args["ms"]
    driver = kit.guard.device("pulse")
    if not driver.room(gpio):
        raise ToolError("full", "%d pulses run already" % driver.MAX_PULSES)
    level, wanted = driver.start(kit.guard, gpio, ms)
    if level != wanted:
        return mismatch(gpio, point, wanted, level)
    time = "%d ms" % ms if ms % 1000 else "%d s" % (ms // 1000)
    say = "%s is on for %s" % (point or "pin %d" % gpio, time)
    receipt = {"level": level, "ms": ms, "say": say}
    now = clock.now()
    if now is not None:
        receipt["until"] = clock.iso(now + (ms + 500) // 1000)
    return receipt
