# `ds18x20`: DS18B20s, whose scratchpads are in the memory of the hardware.
import struct

from _hw import mem
from micropython import const

_FAIL = const(2)
_CONVERTED = const(3)
_ROM = const(4)
_CELSIUS = const(12)
_SCRATCH = const(16)
_BAD_CRC = const(1)
_UNPOWERED = const(3)


class DS18X20:
    def __init__(self, onewire):
        self.ow = onewire
        self.buf = bytearray(9)

    def scan(self):
        return [rom for rom in self.ow.scan() if rom[0] in (0x10, 0x22, 0x28)]

    def convert_temp(self):
        self.ow.reset(True)
        for at in self.ow.devices():
            mem[at + _CONVERTED] = mem[at + _FAIL] != _UNPOWERED

    def _of(self, rom):
        self.ow.reset(True)
        for at in self.ow.devices():
            if bytes(mem[at + _ROM : at + _ROM + 8]) == bytes(rom):
                return at
        raise Exception("CRC error")  # nobody answers: all ones

    def read_scratch(self, rom):
        at = self._of(rom)
        th, tl, config = mem[at + _SCRATCH : at + _SCRATCH + 3]
        # At power-on 85 degrees and 0x0C are in there.
        t = 0x550
        if mem[at + _CONVERTED]:
            t = struct.unpack_from("<h", mem, at + _CELSIUS)[0]
            t &= -1 << 3 - (config >> 5 & 3)
        last = 16 - (t & 15) if mem[at + _CONVERTED] else 0x0C
        struct.pack_into("<hBBBBBB", self.buf, 0, t, th, tl, config, 0xFF, last, 0x10)
        if mem[at + _FAIL] == _BAD_CRC:
            raise Exception("CRC error")
        return self.buf

    def write_scratch(self, rom, buf):
        at = self._of(rom)
        mem[at + _SCRATCH : at + _SCRATCH + 3] = buf

    def read_temp(self, rom):
        return struct.unpack("<h", self.read_scratch(rom))[0] / 16
