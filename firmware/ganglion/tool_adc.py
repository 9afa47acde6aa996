"""Voltages, and what they stand for where a point says it."""

from . import lazy
from .tools import ToolError

SPECS = (
    (
        "adc_read",
        "Measure the voltage of an analog pin; in a point's unit if it has one.",
        "pin:point",
        False,
        "{name} is at {mv} mV",
    ),
)


def call(kit, name, args):
    guard = kit.guard
    gpio, point = kit.resolve(args["pin"])
    guard.take(gpio, "adc", False)
    try:
        raw, mv = guard.device("adc").read(gpio)
    except ValueError:
        raise ToolError("refused", "pin %d has no analog input" % gpio) from None
    except OSError:
        raise ToolError("device", "pin %d cannot be measured while Wi-Fi is on" % gpio) from None
    finally:
        guard.free(gpio)
        lazy.drop("hw_adc")
    receipt = {"raw": raw, "mv": mv}
    more = kit.points.more(point.lower()) if point else {}
    if "unit" in more or "scale" in more or "offset" in more:
        value = receipt["value"] = scaled(mv, more.get("scale", 1), more.get("offset", 0))
        receipt["unit"] = more.get("unit", "")
        receipt["say"] = "%s is at %s %s" % (point, value, receipt["unit"])
    return receipt


def scaled(mv, factor, offset):
    """A measured value, to as many digits as 12 bits are worth."""
    value = mv * factor + offset
    return int(value) if value == int(value) else float("%.4g" % value)
