# The way to the hardware model: shared memory, and the signals that stand for interrupts.
import os
import struct
import sys

import ffi
import micropython
import uctypes
from micropython import const

_SIZE = const(12288)
_READY = const(9)
_SCHEDULED = const(12)
_SIGNAL = const(13)
_REQUEST = const(7)
_PADS = const(6144)
_PAD_SIZE = const(16)
_PENDING = const(6)
_LATCH = const(1)
_PULL = const(2)
_HOLD = const(3)
_EXT = const(4)
_TRIGGER = const(5)
_PWM_ON = const(7)
_DUTY = const(10)
_JUMPERS = const(11520)
_MODE_OUT = const(3)
_MODE_OPEN_DRAIN = const(7)
_PULL_UP = const(2)
_PENDING_MAX = const(8)

_SIGALRM = const(14)
_PR_SET_PDEATHSIG = const(1)
_SIGKILL = const(9)
_RDWR = const(2)

libc = ffi.open(None)
exit = libc.func("v", "_exit", "i")


def map_file(name, size, near=0):
    """The address of a file of the board's folder, mapped shared; `near` is where, if it can be."""
    fd = libc.func("i", "open", "si")(os.getenv("GANGLION_BOARD") + "/" + name, _RDWR)
    if fd < 0:
        raise OSError(name)
    address = libc.func("p", "mmap", "pLiiil")(near, size, 3, 1, fd, 0)
    libc.func("i", "close", "i")(fd)
    return address


# Down where an address is a small int: one that is not takes heap each time it is used.
address = map_file("hw.mem", _SIZE, 0x20000000)
mem = uctypes.bytearray_at(address, _SIZE)
now = libc.func("i", "clock_gettime", "ip")  # 0 is the host's clock

reserve = None  # see _boot.py
pins = {}  # gpio -> (handler, pin)
timers = []  # those running; machine.Timer
run_timers = None  # set by machine when the first one starts


def _dispatch(_):
    """What a chip's interrupts schedule: runs between two bytecodes, may allocate."""
    mem[_SCHEDULED] = 0
    for n in pins:
        at = _PADS + n * _PAD_SIZE + _PENDING
        edges = mem[at]
        while edges and mem[at]:  # a handler that is changed drops what is left
            mem[at] -= 1
            edges -= 1
            call(*pins[n])
    if run_timers:
        run_timers()
    if mem[_REQUEST]:
        import _fill

        _fill.run()
        del sys.modules["_fill"]


def call(handler, arg):
    """A callback whose exception must not keep the next from running."""
    try:
        handler(arg)
    except Exception as e:
        sys.print_exception(e)


def wake():
    """Have `_dispatch` run soon. Called in signal handlers: it must not allocate."""
    if not mem[_SCHEDULED]:
        mem[_SCHEDULED] = 1
        try:
            micropython.schedule(_dispatch, None)
        except RuntimeError:
            mem[_SCHEDULED] = 0  # the queue is full; both senders signal again


def _on_signal(_):
    wake()


def _made(at):
    """The level that something at the pad itself makes, or -1."""
    if mem[at + _HOLD]:
        return mem[at + _HOLD] - 1
    if mem[at + _PWM_ON]:
        return mem[at + _DUTY + 1] >> 7
    if mem[at] == _MODE_OUT or (mem[at] == _MODE_OPEN_DRAIN and not mem[at + _LATCH]):
        return mem[at + _LATCH]
    return mem[at + _EXT] - 1


def level(n):
    """What pad `n` reads. See `Pad.level` in hardware.py. Allocates nothing."""
    at = _PADS + n * _PAD_SIZE
    found = _made(at)
    if found >= 0:
        return found
    pull = mem[at + _PULL]
    if mem[_JUMPERS + n]:
        at = _PADS + (mem[_JUMPERS + n] - 1) * _PAD_SIZE
        found = _made(at)
        if found >= 0:
            return found
        pull = pull or mem[at + _PULL]
    return int(pull == _PULL_UP)


def across(n):
    """What the pad at the other end of `n`'s wire reads, or -1 where there is no wire."""
    return level(mem[_JUMPERS + n] - 1) if mem[_JUMPERS + n] else -1


def edge(n, before):
    """Pad `n` has changed; `before` is what `across` said. Interrupts at the other end."""
    after = across(n)
    if before < 0 or after < 0 or after == before:
        return
    at = _PADS + (mem[_JUMPERS + n] - 1) * _PAD_SIZE
    if mem[at + _TRIGGER] & (1 if after else 2):
        if mem[at + _PENDING] < _PENDING_MAX:
            mem[at + _PENDING] += 1
        wake()


_interval = bytearray(struct.calcsize("@llll"))
_setitimer = libc.func("i", "setitimer", "iPp")


def alarm(us, again_us):
    """SIGALRM in `us` and then every `again_us`; 0 is never."""
    struct.pack_into("@llll", _interval, 0, 0, again_us, us // 1000000, us % 1000000)
    _setitimer(0, _interval, 0)


_callback = ffi.callback("v", _on_signal, "i", lock=True)


def attach():
    """Install the handlers, and die with the launcher."""
    for number in (mem[_SIGNAL], _SIGALRM):
        libc.func("p", "signal", "iC")(number, _callback)
        # Blocking calls must return, so that the callback runs while the board waits in one.
        libc.func("i", "siginterrupt", "ii")(number, 1)
    try:
        libc.func("i", "prctl", "iLLLL")(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    except OSError:
        pass  # Linux only; elsewhere the end of stdin tells
    if libc.func("i", "getppid", "")() != int(os.getenv("GANGLION_PARENT")):
        exit(1)
    mem[_READY] = 1


def u32(at):
    return struct.unpack_from("<I", mem, at)[0]


def set_u32(at, value):
    struct.pack_into("<I", mem, at, value)


def set_text(at, text):
    """A length byte and the text."""
    mem[at] = len(text)
    mem[at + 1 : at + 1 + len(text)] = text


def text(at):
    return bytes(mem[at + 1 : at + 1 + mem[at]])
