# `dht`, over the five bytes that a sensor sends.
from machine import dht_readinto


class _Sensor:
    def __init__(self, pin):
        self.pin = pin
        self.buf = bytearray(5)

    def measure(self):
        dht_readinto(self.pin, self.buf)
        if sum(self.buf[:4]) & 255 != self.buf[4]:
            raise Exception("checksum error")


class DHT11(_Sensor):
    def humidity(self):
        return self.buf[0]

    def temperature(self):
        return self.buf[2]


class DHT22(_Sensor):
    def humidity(self):
        return (self.buf[0] << 8 | self.buf[1]) * 0.1

    def temperature(self):
        t = ((self.buf[2] & 127) << 8 | self.buf[3]) * 0.1
        return -t if self.buf[2] & 128 else t
