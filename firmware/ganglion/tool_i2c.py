"""I2C: bytes to and from a device, in hex. The pins are a bus for one call only."""

import binascii

from . import lazy
from .tools import ToolError

SPECS = (
    (
        "i2c_scan",
        "Find I2C devices.",
        "sda:point scl:point freq?:int1000..400000",
        False,
        "{addrs}",
    ),
    (
        "i2c_read",
        "Read n bytes (hex) from an I2C device.",
        "sda:point scl:point freq?:int1000..400000 addr:int8..119 n:int1..64",
        False,
        "{data}",
    ),
    (
        "i2c_write",
        "Write hex bytes to an I2C device.",
        "sda:point scl:point freq?:int1000..400000 addr:int8..119 data:str128",
        True,
        "{bytes} bytes written",
    ),
    (
        "i2c_write_read",
        "Write hex bytes (a register), then read n.",
        "sda:point scl:point freq?:int1000..400000 addr:int8..119 data:str128 n:int1..64",
        True,
        "{data}",
    ),
)


def call(kit, name, args):
    guard = kit.guard
    sda = kit.resolve(args["sda"])[0]
    scl = kit.resolve(args["scl"])[0]
    if sda == scl:
        raise ToolError("bad_args", "sda and scl must be two pins")
    out = unhex(args["data"]) if "data" in args else None
    driver = guard.device("i2c")
    taken = []
    try:
        for gpio in (sda, scl):
            guard.take(gpio, "i2c", True)
            taken.append(gpio)
        bus = driver.bus(sda, scl, args.get("freq", 100000))
        if isinstance(bus, int):
            raise ToolError("device", "pin %d is held low: check pull-ups and wiring" % bus)
        if name == "i2c_scan":
            addrs = bus.scan()
            found = ", ".join(["0x%02x" % a for a in addrs])
            return {"addrs": addrs, "say": "found %s" % (found or "no I2C device")}
        return _transfer(bus, args["addr"], out, args.get("n"))
    finally:
        for gpio in taken:
            driver.leave(gpio)
            guard.free(gpio)
        lazy.drop("hw_i2c")


def _transfer(bus, addr, out, n):
    try:
        if out is not None:
            # A repeated start where a read follows.
            done = bus.writeto(addr, out, n is None)
            if done < len(out):
                raise ToolError("device", "0x%02x took %d of %d bytes" % (addr, done, len(out)))
            if n is None:
                return {"bytes": done}
        return {"data": binascii.hexlify(bus.readfrom(addr, n)).decode()}
    except OSError as e:
        # ENODEV and EIO are a missing acknowledge.
        why = "nothing answers at 0x%02x" if e.errno in (19, 5) else "the bus of 0x%02x hangs"
        raise ToolError("device", why % addr) from None


def unhex(text):
    """Bytes of hex digits, spaces between them allowed."""
    try:
        data = binascii.unhexlify(text.replace(" ", ""))
    except ValueError:
        data = b""
    if not data:
        raise ToolError("bad_args", "data must be hex, two digits a byte and no 0x: 'd0 01'")
    return data
