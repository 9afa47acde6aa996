"""GPIO: write and read levels. Receipts hold the level of the pad, read back."""

from micropython import const

from . import lazy
from .guard import Refused
from .tools import ToolError, show

_MAX_TOLD = const(24)  # so that all of it finds room in a message, and in a full heap

SPECS = (
    (
        "gpio_write",
        "Set an output, or each of a group, on (1), off (0) or to its other level.",
        "pin:point value:level",
        True,
        "{name} is {level}",
    ),
    (
        "gpio_read",
        "Read the level of a pin, point or group.",
        "pin:point",
        False,
        "{name} is {level}",
    ),
    ("gpio_read_all", "Read all points and pins in use.", "", False, "{levels}"),
)


def call(kit, name, args):
    if name == "gpio_read_all":
        return _read_all(kit)
    try:
        return _one(kit, name, args)
    except ToolError as e:
        if e.args[0] != "unknown_point":
            raise
    try:
        return lazy.load("group").call(kit, name, args)
    finally:
        lazy.drop("group")


def _one(kit, name, args):
    if name == "gpio_read":
        return {"level": kit.guard.read(kit.resolve(args["pin"])[0])}
    gpio, point = output(kit, args["pin"])
    value = args["value"]
    if value == "toggle":
        kit.guard.check(gpio, True)
        value = 1 - kit.guard.read(gpio)
    level = kit.guard.write(gpio, value)
    pulse = lazy.loaded("hw_pulse")
    if pulse:
        pulse.forget(gpio)
    return {"level": level} if level == value else mismatch(gpio, point, value, level)


def output(kit, ref):
    """`(gpio, name or None)` of what is to be driven; a point that is an input is not."""
    gpio, point = kit.resolve(ref)
    if point is not None:
        known = kit.points.get(point)
        if known and not known[1]:
            raise ToolError("refused", "%s (pin %d) is an input" % (point, gpio))
    return gpio, point


def mismatch(gpio, point, value, level):
    label = "%s (pin %d)" % (point, gpio) if point else "pin %d" % gpio
    words = ("off", "on")
    return {
        "level": level,
        "err": "mismatch",
        "msg": "%s was set %s but reads %s: check the wiring" % (label, words[value], words[level]),
    }


def _read_all(kit):
    levels = {}
    seen = more = 0
    for name in kit.points.names():
        gpio = kit.points.get(name)[0]
        seen |= 1 << gpio
        if len(levels) < _MAX_TOLD:
            _read(kit, gpio, name, levels)
        else:
            more += 1
    for gpio in kit.guard.in_use():
        if not seen >> gpio & 1:
            _read(kit, gpio, "pin %d" % gpio, levels)
    receipt = {"levels": levels}
    if more:
        receipt["more"] = more
        receipt["say"] = "%s; and %d more points" % (show("levels", levels), more)
    if not levels:
        receipt["say"] = "no points are named and no pin is in use yet"
    return receipt


def _read(kit, gpio, name, levels):
    try:
        levels[name] = kit.guard.read(gpio)
    except Refused:
        pass  # one that nobody may read must not hide the others
