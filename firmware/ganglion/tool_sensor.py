"""Sensors on one wire: DS18x20 and DHT."""

import binascii

from . import lazy
from .tools import ToolError

SPECS = (
    (
        "ds18x20_read",
        "Read DS18B20 thermometers on a pin.",
        "pin:point bits?:int9..12 rom?:str16",
        False,
        "{name} reads {celsius} C",
    ),
    (
        "dht_read",
        "Read a DHT sensor: temperature, humidity.",
        "pin:point kind:dht11|dht22",
        False,
        "{name} reads {celsius} C and {humidity} % humidity",
    ),
)


def call(kit, name, args):
    guard = kit.guard
    gpio = kit.resolve(args["pin"])[0]
    kind = "ds18x20" if name == "ds18x20_read" else "dht"
    only = _rom(args["rom"]) if "rom" in args else None
    guard.take(gpio, kind, True)
    try:
        driver = guard.device(kind)
        if kind == "dht":
            return _dht(driver, gpio, args["kind"])
        # 10 bits are a quarter of a degree in 0.2 s, in which nothing else is done here.
        return _thermometers(driver.read(gpio, args.get("bits", 10), only), gpio)
    finally:
        guard.free(gpio)
        lazy.drop("hw_" + kind)


def _rom(text):
    try:
        rom = binascii.unhexlify(text)
    except ValueError:
        rom = b""
    if len(rom) != 8:
        raise ToolError("bad_args", "rom must be 16 hex digits")
    return rom


def _thermometers(found, gpio):
    temps = {}
    failed = []
    for rom, celsius, why in found:
        rom = binascii.hexlify(rom).decode()
        if celsius is None:
            failed.append("%s %s" % (rom, why))
        else:
            temps[rom] = celsius
    if not temps:
        raise ToolError("device", "; ".join(failed) or "no DS18x20 answers on pin %d" % gpio)
    receipt = {"temps": temps}
    if failed:
        receipt["failed"] = failed
    if len(temps) == 1 and not failed:
        receipt["celsius"] = temps[rom]
    else:
        words = ["%s reads %s C" % (rom, temps[rom]) for rom in sorted(temps)]
        receipt["say"] = "; ".join(words + failed)
    return receipt


def _dht(driver, gpio, kind):
    try:
        celsius, humidity = driver.read(gpio, kind)
    except OSError:
        raise ToolError("device", "no %s answers on pin %d" % (kind, gpio)) from None
    except ValueError:
        raise ToolError("device", "the %s on pin %d sends a bad checksum" % (kind, gpio)) from None
    if not (-40 <= celsius <= 80 and 0 <= humidity <= 100):
        # A DHT11's bytes read as a DHT22's are far off.
        raise ToolError("device", "pin %d reads nonsense: is it a %s?" % (gpio, kind))
    return {"celsius": round(celsius, 1), "humidity": round(humidity, 1)}
