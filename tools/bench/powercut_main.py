# Runs on MicroPython: mixed operations on a LittleFS in RAM, with the power cut at every single
# program and erase of each. `micropython powercut_main.py <firmware> <operations>`; prints counts.
import os
import sys

import vfs

sys.path.insert(0, sys.argv[1])
sys.modules["network"] = sys  # start.py wants one; what is used of it here needs none

from ganglion.points import Points  # noqa: E402
from ganglion.start import next_boot  # noqa: E402
from ganglion.store import Store, StoreFull  # noqa: E402

_BLOCK = 4096
_BLOCKS = 48
_EIO = -5
_LOG = "/ram/store.log"
_BOOT = "/ram/boot"


class Disk:
    """One power-on of the chip. A failure is an error code, since an exception would jump out of
    LittleFS and leave it half-way; when the power is off, all fails that is still to come."""

    def __init__(self):
        self.writes = 0
        self.cut_at = 0  # 0: never
        self.torn = False
        self.dead = False

    def readblocks(self, n, buf, off=0):
        if self.dead:
            return _EIO
        at = n * _BLOCK + off
        buf[:] = image[at : at + len(buf)]

    def writeblocks(self, n, buf, off=0):
        at = n * _BLOCK + off
        if self._power_fails():
            if self.torn:
                half = len(buf) // 2
                image[at : at + half] = memoryview(buf)[:half]
            self.torn = False
            return _EIO
        image[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return _BLOCKS
        if op == 5:
            return _BLOCK
        if op == 6:
            at = arg * _BLOCK
            if self._power_fails():
                if self.torn:
                    image[at : at + _BLOCK // 2] = _ERASED_HALF
                self.torn = False
                return _EIO
            image[at : at + _BLOCK] = _ERASED
        return 0

    def _power_fails(self):
        self.writes += 1
        self.dead = self.dead or self.writes == self.cut_at
        return self.dead


_ERASED = b"\xff" * _BLOCK
_ERASED_HALF = b"\xff" * (_BLOCK // 2)
flash = bytearray(b"\xff" * (_BLOCKS * _BLOCK))
image = memoryview(flash)


def power_on():
    disk = Disk()
    vfs.mount(vfs.VfsLfs2(disk), "/ram")
    return disk


def power_off(disk):
    disk.dead = True
    disk.torn = False
    vfs.umount("/ram")


def operations(count):
    """`(key, value)`; a value of None deletes, a key of None counts a boot. The same each time."""
    seed = 1
    for n in range(count):
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        dice = (seed >> 12) % 100
        which = (seed >> 7) & 31
        if dice < 5:
            yield None, None
        elif dice < 30:
            yield "p:point %d" % (which & 15), [which, dice & 1, {"group": "lights"}]
        elif dice < 55:
            yield "m:fact %d" % which, "v%d" % n + "x" * (dice * 3)
        elif dice < 80:
            yield "t:routine %d" % (which & 7), {"n": n, "do": ["y" * (300 + which * 15)]}
        else:
            yield ("p:point %d" % (which & 15), "m:fact %d" % which)[dice & 1], None


def do(store, key, value):
    if key is None:
        next_boot(_BOOT)
    elif value is None:
        store.delete(key)
    else:
        store.set(key, value)


def boot_number():
    try:
        with open(_BOOT) as f:
            return int(f.read())
    except OSError:
        return 0


def whole(before, after, boots):
    """Boot, and look: "" when what is there is what must be."""
    disk = None
    try:
        disk = power_on()
        store = Store(_LOG)
        there = dict(store.items(""))
        if there != before and there != after:
            return "lost"
        points = Points(store)
        if len(points.names()) != store.count("p:"):
            return "lost"
        if not boots <= boot_number() <= boots + 1 or next_boot(_BOOT) <= boots:
            return "unbootable"
        store.set("z:after", 1)
        if store.get("z:after") != 1 or Store(_LOG).get("z:after") != 1:
            return "lost"
    except Exception as e:
        sys.print_exception(e)
        return "unbootable"
    finally:
        if disk:
            power_off(disk)
    return ""


def run(count):
    vfs.VfsLfs2.mkfs(Disk())
    before = {}
    boots = 0
    counts = {"cuts": 0, "lost": 0, "unbootable": 0, "compactions": 0}
    for n, (key, value) in enumerate(operations(count)):
        start = bytes(flash)
        after = dict(before)
        if value is not None:
            after[key] = value
        elif key is not None:
            after.pop(key, None)
        disk = power_on()
        store = Store(_LOG)
        size = store.size
        disk.writes = 0
        do(store, key, value)
        writes = disk.writes
        counts["compactions"] += store.size < size
        power_off(disk)
        done = bytes(flash)
        for cut in range(1, writes + 1):
            image[:] = start
            disk = power_on()
            store = Store(_LOG)
            disk.writes = 0
            disk.cut_at = cut
            disk.torn = counts["cuts"] & 1 == 0
            acked = False
            try:
                do(store, key, value)
                acked = key is not None
            except (OSError, StoreFull):
                pass
            power_off(disk)
            counts["cuts"] += 1
            problem = whole(after if acked else before, after, boots)
            if problem:
                counts[problem] += 1
                print("at operation %d (%s), write %d: %s" % (n, key, cut, problem))
        image[:] = done
        before = after
        boots += key is None
    for name in sorted(counts):
        print("@%s %d" % (name, counts[name]))
    print("@operations %d" % count)


os.chdir("/")
run(int(sys.argv[2]))
