# The flash chip: 4096-byte blocks in a mapped file. Every program and every erase is counted, and
# the power can fail at any of them.
#
# On a chip the driver is C, and no callback of the firmware can run inside it; one that used the
# file system there would ruin it. MicroPython runs callbacks at jumps, so the driver has none: no
# `if`, no loop, no `and`. A choice is an index into a tuple.
import struct

import uctypes
from _hw import libc, map_file, mem
from micropython import const

_TORN = const(3)
_CUT = const(4)
_WRITES = const(16)
_BLOCK_SIZE = const(4096)

_memset = libc.func("p", "memset", "piL")


class Flash:
    """The extended block protocol, as the ESP32's Partition has it."""

    def __init__(self, size):
        self.size = size
        self._at = map_file("flash.img", size)
        self._data = uctypes.bytearray_at(self._at, size)
        self._view = memoryview(self._data)

    def readblocks(self, block, buf, offset=0):
        at = block * _BLOCK_SIZE + offset
        buf[:] = self._view[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        at = block * _BLOCK_SIZE + offset
        _NEXT[_power_fails()](self, at, buf)
        self._data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        return _OPS[op](self, arg)

    def _none(self, arg):
        return 0

    def _count(self, arg):
        return self.size // _BLOCK_SIZE

    def _block_size(self, arg):
        return _BLOCK_SIZE

    def _erase(self, block):
        at = block * _BLOCK_SIZE
        _NEXT[_power_fails()](self, at, None)
        _memset(self._at + at, 255, _BLOCK_SIZE)
        return 0


def _power_fails():
    """Count a write; True when it is the one that the power fails at."""
    n, cut_at = struct.unpack_from("<II", mem, _WRITES)
    struct.pack_into("<I", mem, _WRITES, n + 1)
    return n + 1 == cut_at


def _go_on(flash, at, buf):
    pass


def _cut(flash, at, buf):
    """Half of the write or erase, or nothing of it; then the chip is without power."""
    if mem[_TORN]:
        if buf is None:
            _memset(flash._at + at, 255, _BLOCK_SIZE // 2)
        else:
            half = len(buf) // 2
            flash._data[at : at + half] = memoryview(buf)[:half]
    mem[_CUT] = 1
    libc.func("i", "raise", "i")(9)


_NEXT = (_go_on, _cut)
# By number: -, initialise, shut down, sync, count, block size, erase.
_OPS = (
    Flash._none,
    Flash._none,
    Flash._none,
    Flash._none,
    Flash._count,
    Flash._block_size,
    Flash._erase,
)
