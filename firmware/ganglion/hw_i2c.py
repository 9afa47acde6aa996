"""I2C in software: any two pins, and nothing of it is left when it ends."""

import time

from machine import Pin, SoftI2C


def bus(sda, scl, freq):
    """The bus, or the number of a pin that something holds low."""
    for gpio in (sda, scl):
        pin = Pin(gpio, Pin.OPEN_DRAIN, Pin.PULL_UP, value=1)
        time.sleep_us(20)
        if not pin.value():
            return gpio
    return SoftI2C(scl=Pin(scl), sda=Pin(sda), freq=freq)


def leave(gpio):
    """No pull-up any more."""
    Pin(gpio, Pin.IN, None)
