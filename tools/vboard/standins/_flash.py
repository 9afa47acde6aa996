# The flash chip: 4096-byte blocks in a mapped file. Every program and every erase is counted, and
# the power can fail at any of them.
import struct

import uctypes
from _hw import libc, map_file, mem, set_u32
from micropython import const

_TORN = const(3)
_CUT = const(4)
_BUSY = const(10)
_WRITES = const(16)
_CUT_AT = const(20)
_BLOCK_SIZE = const(4096)

_memset = libc.func("p", "memset", "piL")
_raise = libc.func("i", "raise", "i")


class Flash:
    """The extended block protocol, as the ESP32's Partition has it."""

    def __init__(self, size):
        self.size = size
        self._at = map_file("flash.img", size)
        self._data = uctypes.bytearray_at(self._at, size)
        self._view = memoryview(self._data)

    def readblocks(self, block, buf, offset=0):
        # No jump in here, and only at jumps can a callback run.
        at = block * _BLOCK_SIZE + offset
        buf[:] = self._view[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        mem[_BUSY] = 1
        at = block * _BLOCK_SIZE + offset
        if self._fails():
            if mem[_TORN]:
                half = len(buf) // 2
                self._data[at : at + half] = memoryview(buf)[:half]
            _die()
        self._data[at : at + len(buf)] = buf
        mem[_BUSY] = 0

    def ioctl(self, op, arg):
        mem[_BUSY] = 1
        result = self._ioctl(op, arg)
        mem[_BUSY] = 0
        return result

    def _ioctl(self, op, arg):
        if op == 4:
            return self.size // _BLOCK_SIZE
        if op == 5:
            return _BLOCK_SIZE
        if op == 6:
            n = _BLOCK_SIZE
            if self._fails():
                if mem[_TORN]:
                    _memset(self._at + arg * _BLOCK_SIZE, 255, n // 2)
                _die()
            _memset(self._at + arg * _BLOCK_SIZE, 255, n)
        return 0

    def _fails(self):
        n, cut_at = struct.unpack_from("<II", mem, _WRITES)
        set_u32(_WRITES, n + 1)
        return n + 1 == cut_at


def _die():
    mem[_CUT] = 1
    _raise(9)
