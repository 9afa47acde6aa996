# machine.ADC and machine.PWM.
import struct

import _hw
from _hw import mem
from micropython import const

_PADS = const(6144)
_PAD_SIZE = const(16)
_PWM_ON = const(7)
_MV = const(8)
_DUTY = const(10)
_FREQ = const(12)
_PINS_ADC = const(2760)
_PINS_ADC2 = const(2768)
_ETIMEDOUT = const(116)  # lwIP's number

# Millivolts at full scale, by attenuation; nominal figures of the ESP32.
_FULL_MV = (1100, 1500, 2200, 3300)


def _pad(pin):
    from machine import Pin

    return _PADS + Pin(pin).id * _PAD_SIZE


def _bit(at, n):
    return mem[at + (n >> 3)] >> (n & 7) & 1


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_9BIT = 9
    WIDTH_10BIT = 10
    WIDTH_11BIT = 11
    WIDTH_12BIT = 12

    def __init__(self, pin, *, atten=0):
        self._at = _pad(pin)
        n = (self._at - _PADS) // _PAD_SIZE
        if not _bit(_PINS_ADC, n):
            raise ValueError("invalid pin")
        self._radio = _bit(_PINS_ADC2, n)
        self._full = _FULL_MV[atten]

    def init(self, *, atten=0):
        self._full = _FULL_MV[atten]

    def atten(self, atten):
        self._full = _FULL_MV[atten]

    def width(self, bits):
        pass

    def _mv(self):
        if self._radio:
            import network

            # The radio has the chip's second converter for itself.
            if network.WLAN().active():
                raise OSError(_ETIMEDOUT)
        return min(mem[self._at + _MV] | mem[self._at + _MV + 1] << 8, self._full)

    def read(self):
        return self._mv() * 4095 // self._full

    def read_u16(self):
        return self._mv() * 65535 // self._full

    def read_uv(self):
        return self._mv() * 1000


class PWM:
    def __init__(self, pin, freq=None, duty=None, *, duty_u16=None, duty_ns=None):
        self._at = _pad(pin)
        if not mem[self._at + _PWM_ON]:
            self._set(5000, 32768)
        self.init(freq, duty, duty_u16=duty_u16, duty_ns=duty_ns)
        self._on(1)

    def init(self, freq=None, duty=None, *, duty_u16=None, duty_ns=None):
        if freq is not None:
            self.freq(freq)
        if duty is not None:
            self.duty(duty)
        if duty_u16 is not None:
            self.duty_u16(duty_u16)
        if duty_ns is not None:
            self.duty_ns(duty_ns)

    def _set(self, freq, duty):
        n = (self._at - _PADS) // _PAD_SIZE
        before = _hw.across(n)
        struct.pack_into("<HI", mem, self._at + _DUTY, duty, freq)
        _hw.edge(n, before)

    def _on(self, on):
        n = (self._at - _PADS) // _PAD_SIZE
        before = _hw.across(n)
        mem[self._at + _PWM_ON] = on
        _hw.edge(n, before)

    def _get(self):
        return struct.unpack_from("<HI", mem, self._at + _DUTY)

    def freq(self, hz=None):
        duty, now = self._get()
        if hz is None:
            return now
        if not 1 <= hz <= 40000000:
            raise ValueError("frequency must be from 1Hz to 40MHz")
        self._set(hz, duty)

    def duty_u16(self, duty=None):
        now, freq = self._get()
        if duty is None:
            return now
        if not 0 <= duty <= 65535:
            raise ValueError("duty_u16 must be from 0 to 65535")
        self._set(freq, duty)

    def duty(self, duty=None):
        """Of 1023."""
        if duty is None:
            return self._get()[0] >> 6
        if not 0 <= duty <= 1023:
            raise ValueError("duty must be from 0 to 1023")
        self.duty_u16(65535 if duty == 1023 else duty << 6)

    def duty_ns(self, ns=None):
        duty, freq = self._get()
        if ns is None:
            return duty * 1000000000 // freq // 65535
        self.duty_u16(min(ns * freq // 1000 * 65535 // 1000000, 65535))

    def deinit(self):
        self._on(0)
