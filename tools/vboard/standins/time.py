# `time` with a clock that starts unset, in 2000, as a chip's does. Seconds are ints, since 1970.
import struct

import utime
from _hw import mem
from micropython import const
from utime import *  # noqa: F403

_CLOCK = const(40)


def time():
    return int(utime.time()) + struct.unpack_from("<q", mem, _CLOCK)[0]


def time_ns():
    return utime.time_ns() + struct.unpack_from("<q", mem, _CLOCK)[0] * 1000000000


def gmtime(seconds=None):
    # Eight fields: the Unix port adds a daylight-saving flag that no chip has.
    return utime.gmtime(time() if seconds is None else seconds)[:8]


localtime = gmtime  # a chip knows no zone


def mktime(t):
    return int(utime.mktime(tuple(t)[:8] + (0,)))
