# machine.bitstream: what comes out of a pin stays on the strip behind it.
from _hw import mem
from micropython import const

_STRIPS = const(7328)
_STRIP_SIZE = const(772)
_STRIPS_N = const(4)
_STRIP_MAX = const(768)


def bitstream(pin, encoding, timing, data):
    for at in range(_STRIPS, _STRIPS + _STRIPS_N * _STRIP_SIZE, _STRIP_SIZE):
        if mem[at] in (0, pin.id + 1):
            n = min(len(data), _STRIP_MAX)
            mem[at] = pin.id + 1
            # A short stream leaves the pixels behind it as they were.
            n_was = mem[at + 2] | mem[at + 3] << 8
            mem[at + 2] = max(n, n_was) & 255
            mem[at + 3] = max(n, n_was) >> 8
            mem[at + 4 : at + 4 + n] = data[:n]
            return
    raise OSError("no strip left")
