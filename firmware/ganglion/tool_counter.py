"""Counters of edges on inputs: meters, buttons, flow."""

from . import lazy
from .tools import ToolError

SPECS = (
    (
        "counter_start",
        "Count edges on an input, from 0. Debounce is ms of quiet before an edge.",
        "pin:point edge?:rising|falling|both debounce?:int0..1000 pull?:up|down|none",
        True,
        "{name} is counted from {count}",
    ),
    ("counter_read", "Read a counter.", "pin:point", False, "{name} has counted {count}"),
    ("counter_stop", "End a counter and read it.", "pin:point", True, "{name} counted {count}"),
)


def call(kit, name, args):
    guard = kit.guard
    gpio = kit.resolve(args["pin"])[0]
    driver = guard.device("counter")
    counters = driver.counters
    try:
        if name == "counter_start":
            return _start(guard, driver, gpio, args)
        if gpio not in counters:
            raise ToolError("not_found", "nothing is counted on pin %d" % gpio)
        if name == "counter_read":
            return {"count": counters[gpio].n}
        count = driver.stop(gpio)
        guard.free(gpio)
        return {"count": count}
    finally:
        if not counters:
            lazy.drop("hw_counter")


def _start(guard, driver, gpio, args):
    pull = args.get("pull", "none")
    if gpio not in driver.counters and len(driver.counters) >= driver.MAX_COUNTERS:
        raise ToolError("full", "%d counters run already" % driver.MAX_COUNTERS)
    guard.check(gpio, False)
    if pull != "none" and gpio in guard.board.IN:
        raise ToolError("refused", "pin %d has no pull resistor of its own" % gpio)
    guard.take(gpio, "counter", False)
    driver.start(gpio, args.get("edge", "rising"), args.get("debounce", 0), pull)
    return {"count": driver.counters[gpio].n}
