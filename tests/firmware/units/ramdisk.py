# A LittleFS in RAM whose power can fail at any block operation.
#
# What a cut leaves open MicroPython closes much later, from inside a collection, where nothing
# can be allocated. So a dead disk answers with an error number and does not raise, and a file
# system that was cut outlives its files: they would be closed through memory given back.
import gc
import os

import vfs

_EIO = 5
_cut = []


class Disk:
    BLOCK = 4096

    def __init__(self, blocks=24, data=None):
        self.data = data if isinstance(data, bytearray) else bytearray(data or blocks * self.BLOCK)
        self.writes = 0
        self.cut_at = None
        self.dead = False
        self.fs = None

    def power_off(self):
        """The bytes as the cut left them. Whatever still holds this disk changes nothing more."""
        data, self.data = self.data, None
        self.dead = True
        gc.collect()  # closes the files; one that a stale word still names, a later collection
        _cut.append(self.fs)
        del _cut[:-8]
        return data

    def readblocks(self, n, buf, off=0):
        if self.dead:
            return -_EIO
        at = n * self.BLOCK + off
        buf[:] = self.data[at : at + len(buf)]
        return 0

    def _power(self, n, off, buf):
        self.writes += 1
        if self.cut_at is not None and self.writes >= self.cut_at:
            self.dead = True
            if buf is not None:
                half = len(buf) // 2  # a torn write
                at = n * self.BLOCK + off
                self.data[at : at + half] = buf[:half]
        return self.dead

    def writeblocks(self, n, buf, off=0):
        if self.dead or self._power(n, off, buf):
            return -_EIO
        at = n * self.BLOCK + off
        self.data[at : at + len(buf)] = buf
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.BLOCK
        if op == 5:
            return self.BLOCK
        if op == 6:
            if self.dead or self._power(arg, 0, None):
                return -_EIO
            at = arg * self.BLOCK
            self.data[at : at + self.BLOCK] = b"\xff" * self.BLOCK
        return 0


def mount(disk, fresh):
    if fresh:
        vfs.VfsLfs2.mkfs(disk)
    disk.fs = vfs.VfsLfs2(disk)
    vfs.mount(disk.fs, "/ram")
    os.chdir("/")


def unmount():
    vfs.umount("/ram")
