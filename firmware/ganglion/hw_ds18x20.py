"""DS18x20 on one wire, with the modules of a stock image."""

import sys
import time

from machine import Pin
from micropython import const

_CONVERT_MS = const(94)  # at 9 bits; a bit more takes twice as long
_MAX = const(8)


def read(gpio, bits, only):
    """`[(rom, degrees or None, why)]` of the sensors on a pin, of the one with `only` if given."""
    try:
        import onewire
        from ds18x20 import DS18X20

        bus = DS18X20(onewire.OneWire(Pin(gpio)))
        roms = [bytes(rom) for rom in bus.scan() if only is None or bytes(rom) == only][:_MAX]
        if not roms:
            return []
        ms = 0
        for rom in roms:
            ms = max(ms, _prepare(bus, rom, bits))
        try:
            bus.convert_temp()
        except onewire.OneWireError:
            return []
        time.sleep_ms(ms)
        return [(rom,) + _measured(bus, rom) for rom in roms]
    finally:
        Pin(gpio, Pin.IN, None)  # onewire pulls it up
        sys.modules.pop("ds18x20", None)
        sys.modules.pop("onewire", None)


def _prepare(bus, rom, bits):
    """Set the resolution; how long a sensor then takes."""
    if rom[0] == 0x10:
        return 750  # a DS18S20 has but one
    try:
        scratch = bus.read_scratch(rom)
        config = bits - 9 << 5 | 0x1F
        if scratch[4] != config:
            bus.write_scratch(rom, bytes((scratch[2], scratch[3], config)))
    except Exception:
        return _CONVERT_MS << 3  # its reading will tell what is wrong
    return _CONVERT_MS << bits - 9


def _measured(bus, rom):
    why = None
    for _ in range(2):
        try:
            celsius = bus.read_temp(rom)
        except Exception:
            # onewire and ds18x20 raise plain exceptions.
            why = "sends a bad checksum"
            continue
        # 85 degrees with 0x0C here is what the power-on reset puts there; a measured 85 has 0x10.
        if celsius == 85 and bus.buf[6] == 0x0C:
            return None, "did not measure: check its supply"
        return celsius, None
    return None, why
