# `ntptime`: the clock of the board's world, mostly the host's, stands for the server's.
import struct
import time as chip

import network
from _hw import mem
from micropython import const

_NTP_UP = const(2)
_CLOCK = const(40)
_ETIMEDOUT = const(116)  # lwIP's number

host = "pool.ntp.org"
timeout = 1


def time():
    if not mem[_NTP_UP] or not network.WLAN().isconnected():
        raise OSError(_ETIMEDOUT)
    return chip.time() - struct.unpack_from("<q", mem, _CLOCK)[0]


def settime():
    time()
    struct.pack_into("<q", mem, _CLOCK, 0)
