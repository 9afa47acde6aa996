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

_SINGLE = const(16)
_NAME = ".filler"


def run():
    # The filler's own writes are not the firmware's.
    writes = u32(_WRITES)
    cut_at = u32(_CUT_AT)
    set_u32(_CUT_AT, 0)
    wanted = mem[_REQUEST]
    mem[_REQUEST] = 0
    try:
        for name in os.listdir("/"):
            if name.startswith(_NAME):
                os.remove("/" + name)
        if wanted == _FILL:
            _fill(u32(_BYTES_LEFT))
        mem[_RESULT] = _DONE
    except Exception as e:
        print("filler:", e)
        mem[_RESULT] = _FAILED
    set_u32(_WRITES, writes)
    set_u32(_CUT_AT, cut_at)


def _fill(left):
    # statvfs is an estimate, by several blocks (littlefs says so of lfs_fs_size): what is full is
    # found out by writing. One large file, since it is quicker; then single blocks.
    chunk = bytes(255)
    with open("/" + _NAME, "wb") as f:
        try:
            # littlefs keeps some bytes of each block for itself: 16 * 255 fit.
            for _ in range((os.statvfs("/")[3] - _SINGLE - left // _BLOCK_SIZE) * 16):
                f.write(chunk)
        except OSError:
            pass
    n = 0
    try:
        while True:
            with open("/%s%d" % (_NAME, n), "wb") as f:
                for _ in range(16):
                    f.write(chunk)
            n += 1
    except OSError:
        os.remove("/%s%d" % (_NAME, n))
    for _ in range((left + _BLOCK_SIZE - 1) // _BLOCK_SIZE):
        n -= 1
        os.remove("/%s%d" % (_NAME, n))
