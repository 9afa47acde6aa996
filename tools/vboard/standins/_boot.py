# What a chip does before main.py, and after it.
import gc
import os
import sys

import vfs
from micropython import const

_LEAPS = const(11)
_STANDIN_BYTES = const(32)
_RAW = const(15)
# The launcher adds so many bytes to the heap of the chip (twice as many where words are twice as
# long). What the stand-ins leave of them is taken, so that the firmware has the chip's heap; but
# for the last 4 KB, which are for MicroPython's table of names: it doubles as it grows, and the
# stand-ins' 190 names, in ROM on a chip, make it double once more, by 640 entries of 7 bytes.
_STANDIN_HEAP = const(15360)
_NAMES_BYTES = const(4480)


def go(g, before):
    """Start the board. `g` is the dictionary of `__main__`; `before` the heap in use at start."""
    for name in list(g):
        if name != "__name__":
            del g[name]
    import _hw

    # Built in on a chip, so there before main.py is.
    for name in ("machine", "network", "socket", "time"):
        __import__(name)
    if not _hw.mem[_LEAPS]:  # else what knows the time comes behind _leap
        for name in ("_flash", "_system", "_timer", "_analog"):
            __import__(name)
    gc.collect()
    taken = gc.mem_alloc() - before
    _hw.set_u32(_STANDIN_BYTES, taken)
    heap = _STANDIN_HEAP - _NAMES_BYTES << (sys.maxsize > 0x7FFFFFFF)
    _hw.reserve = bytearray(max(heap - taken, 0))
    size = os.stat(os.getenv("GANGLION_BOARD") + "/flash.img")[6]
    from _flash import Flash

    vfs.umount("/")
    try:
        vfs.mount(Flash(size), "/")
    except OSError:
        __import__("_format").format(Flash(size))
    os.chdir("/")
    _hw.attach()
    if _hw.mem[_LEAPS]:
        __import__("_leap")  # not an import statement: a tidy linter takes that away
    gc.collect()
    for name in ("boot.py", "main.py"):
        # A soft reset out of the raw REPL comes back to it, past main.py.
        if (name == "main.py" and _hw.mem[_RAW]) or not _run(name, g):
            break
    __import__("_repl").run(g)


def _run(name, g):
    try:
        code = _compiled(name)
        if code:
            exec(code, g)
        return True
    except SystemExit:
        _soft_reset()
    except BaseException as e:
        sys.print_exception(e)
    return False


def _compiled(name):
    # In a frame of its own, so that the source is not held for as long as main.py runs.
    try:
        with open(name) as f:
            return compile(f.read(), name, "exec")
    except OSError:
        return None


def _soft_reset():
    import machine

    machine.soft_reset()
