"""The ADC, over the range of a chip's supply."""

from machine import ADC, Pin
from micropython import const

_SAMPLES = const(8)


def read(gpio):
    """`(raw of 65535, mV)`, the mean of some. ValueError: no ADC there. OSError: in use."""
    adc = ADC(Pin(gpio), atten=ADC.ATTN_11DB)
    raw = uv = 0
    for _ in range(_SAMPLES):
        raw += adc.read_u16()
        uv += adc.read_uv()
    return raw // _SAMPLES, uv // (_SAMPLES * 1000)
