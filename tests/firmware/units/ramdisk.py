# A LittleFS in RAM whose power can fail at any block operation.
import os

import vfs


class Cut(Exception):
    pass


class Disk:
    BLOCK = 4096

    def __init__(self, blocks=24, data=None):
        self.data = bytearray(data if data else blocks * self.BLOCK)
        self.writes = 0
        self.cut_at = None

    def readblocks(self, n, buf, off=0):
        at = n * self.BLOCK + off
        buf[:] = self.data[at : at + len(buf)]

    def _power(self, n, off, buf):
        self.writes += 1
        if self.cut_at is not None and self.writes >= self.cut_at:
            if self.writes == self.cut_at and buf is not None:
                half = len(buf) // 2  # a torn write
                at = n * self.BLOCK + off
                self.data[at : at + half] = buf[:half]
            raise OSError(5)

    def writeblocks(self, n, buf, off=0):
        self._power(n, off, buf)
        at = n * self.BLOCK + off
        self.data[at : at + len(buf)] = buf

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // self.BLOCK
        if op == 5:
            return self.BLOCK
        if op == 6:
            self._power(arg, 0, None)
            at = arg * self.BLOCK
            self.data[at : at + self.BLOCK] = b"\xff" * self.BLOCK
            return 0
        return 0


def mount(disk, fresh):
    if fresh:
        vfs.VfsLfs2.mkfs(disk)
    fs = vfs.VfsLfs2(disk)
    vfs.mount(fs, "/ram")
    os.chdir("/")


def unmount():
    vfs.umount("/ram")
