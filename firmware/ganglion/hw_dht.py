"""DHT11 and DHT22, with the module of a stock image."""

import sys

from machine import Pin


def read(gpio, kind):
    """`(degrees, humidity)`. OSError: no answer. ValueError: a bad checksum."""
    try:
        import dht

        sensor = (dht.DHT11 if kind == "dht11" else dht.DHT22)(Pin(gpio))
        try:
            sensor.measure()
        except OSError:
            raise
        except Exception:
            raise ValueError from None
        return sensor.temperature(), sensor.humidity()
    finally:
        Pin(gpio, Pin.IN, None)
        sys.modules.pop("dht", None)
