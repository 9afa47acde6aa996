# `onewire`: as far as `ds18x20` and its users go.
import _sensor
from _hw import mem
from micropython import const

_ROM = const(4)
_DS18B20 = const(1)


class OneWireError(Exception):
    pass


class OneWire:
    def __init__(self, pin):
        self.pin = pin
        pin.init(pin.OPEN_DRAIN, pin.PULL_UP, value=1)

    def devices(self):
        """Where they are in the memory of the hardware; not of the real one."""
        return [at for at in _sensor.on(self.pin.id) if mem[at] == _DS18B20]

    def reset(self, required=False):
        present = bool(self.devices())
        if required and not present:
            raise OneWireError
        return present

    def scan(self):
        return [bytearray(mem[at + _ROM : at + _ROM + 8]) for at in self.devices()]
