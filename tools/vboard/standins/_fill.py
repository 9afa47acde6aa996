# Fills the file system, or frees it. Runs on the board, since nobody else may touch its flash.
import os

from _hw import mem, set_u32, u32
from micropython import const

_REQUEST = const(7)
_RESULT = const(8)
_WRITES = const(16)
_CUT_AT = const(20)
_BYTES_LEFT = const(28)
_FILL = const(1)
_DONE = const(1)
_FAILED = const(2)
_BLOCK_SIZE = const(4096)

_NAME = "/.filler"


def run():
    # The filler's own writes are not the firmware's.
    writes = u32(_WRITES)
    cut_at = u32(_CUT_AT)
    set_u32(_CUT_AT, 0)
    wanted = mem[_REQUEST]
    mem[_REQUEST] = 0
    try:
        try:
            os.remove(_NAME)
        except OSError:
            pass
        if wanted == _FILL:
            _fill(u32(_BYTES_LEFT))
        mem[_RESULT] = _DONE
    except Exception as e:
        print("filler:", e)
        mem[_RESULT] = _FAILED
    set_u32(_WRITES, writes)
    set_u32(_CUT_AT, cut_at)


def _spare(left):
    """Blocks to take so that `left` bytes stay."""
    return os.statvfs("/")[3] - (left + _BLOCK_SIZE - 1) // _BLOCK_SIZE


def _fill(left):
    chunk = bytes(255)
    with open(_NAME, "wb") as f:
        try:
            # littlefs keeps some bytes of each block for itself: 255 of 256 are a little too few,
            # the rest goes in small steps.
            for _ in range(_spare(left) * 16):
                f.write(chunk)
            f.flush()
            while _spare(left) > 0:
                for _ in range(8):
                    f.write(chunk)
                f.flush()
        except OSError:
            pass  # no space left: what was flushed stays
