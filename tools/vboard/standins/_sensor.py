# What answers on one wire: DS18B20 (for `onewire`, `ds18x20`) and DHT (for `dht`).
import struct

from _hw import mem
from machine import Pin
from micropython import const

_SENSORS = const(7168)
_SENSOR_SIZE = const(20)
_SENSORS_N = const(8)
_GPIO = const(1)
_FAIL = const(2)
_CELSIUS = const(12)
_DS18B20 = const(1)
_DHT11 = const(11)
_BAD_CRC = const(1)
_GONE = const(2)
_ETIMEDOUT = const(116)  # lwIP's number


def on(gpio):
    """Where the sensors are that answer on a pin."""
    ats = range(_SENSORS, _SENSORS + _SENSORS_N * _SENSOR_SIZE, _SENSOR_SIZE)
    # A line that is held low lets none of them answer.
    if not Pin(gpio).value():
        return []
    return [at for at in ats if mem[at] and mem[at + _GPIO] == gpio and mem[at + _FAIL] != _GONE]


def dht_readinto(pin, buf):
    """The five bytes of a DHT11 or DHT22."""
    pin.init(pin.OPEN_DRAIN, pin.PULL_UP, value=1)
    found = [at for at in on(pin.id) if mem[at] != _DS18B20]
    if not found:
        raise OSError(_ETIMEDOUT)
    at = found[0]
    tenths, humidity = struct.unpack_from("<hH", mem, at + _CELSIUS)
    below = tenths < 0
    tenths = abs(tenths)
    if mem[at] == _DHT11:
        struct.pack_into("BBBB", buf, 0, humidity // 10, 0, tenths // 10, tenths % 10)
    else:
        struct.pack_into(">HH", buf, 0, humidity, tenths | (32768 if below else 0))
    buf[4] = sum(buf[:4]) + (mem[at + _FAIL] == _BAD_CRC) & 255
