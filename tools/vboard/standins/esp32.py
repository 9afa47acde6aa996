# `esp32`: a small NVS, and a temperature.
import struct

from _hw import mem, set_text, text
from micropython import const

_NVS = const(4928)
_NVS_SIZE = const(64)
_NVS_N = const(16)
_KIND = const(32)  # after the name; then a length byte and the value
_VALUE_MAX = const(30)
_INT = const(1)
_BLOB = const(2)
_NOT_FOUND = const(-0x1102)  # ESP_ERR_NVS_NOT_FOUND
_FULL = const(-0x1105)  # ESP_ERR_NVS_NOT_ENOUGH_SPACE


def raw_temperature():
    return 128  # Fahrenheit


def mcu_temperature():
    return 53  # Celsius


class NVS:
    """16 values of 30 bytes at most; kept when the power goes, written through at once."""

    def __init__(self, namespace):
        self._prefix = namespace.encode() + b"\0"

    def _find(self, key):
        name = self._prefix + key.encode()
        for at in range(_NVS, _NVS + _NVS_N * _NVS_SIZE, _NVS_SIZE):
            if mem[at] and text(at) == name:
                return at
        return None

    def _set(self, key, kind, value):
        at = self._find(key)
        name = self._prefix + key.encode()
        if len(value) > _VALUE_MAX or len(name) > 31:
            raise OSError(_FULL)
        if at is None:
            for at in range(_NVS, _NVS + _NVS_N * _NVS_SIZE, _NVS_SIZE):
                if not mem[at]:
                    break
            else:
                raise OSError(_FULL)
        set_text(at, name)
        mem[at + _KIND] = kind
        set_text(at + _KIND + 1, value)

    def _get(self, key, kind):
        at = self._find(key)
        if at is None or mem[at + _KIND] != kind:
            raise OSError(_NOT_FOUND)
        return text(at + _KIND + 1)

    def set_i32(self, key, value):
        self._set(key, _INT, struct.pack("<i", value))

    def get_i32(self, key):
        return struct.unpack("<i", self._get(key, _INT))[0]

    def set_blob(self, key, value):
        self._set(key, _BLOB, bytes(value))

    def get_blob(self, key, buf):
        value = self._get(key, _BLOB)
        buf[: len(value)] = value
        return len(value)

    def erase_key(self, key):
        at = self._find(key)
        if at is None:
            raise OSError(_NOT_FOUND)
        mem[at] = 0

    def commit(self):
        pass
