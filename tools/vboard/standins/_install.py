# Runs on MicroPython: brings a flash image up to date as the plan on stdin says (see flash.py).
import json
import os
import sys

import vfs

INSTALLED = "/installed.json"  # path -> sha256 of what a build put there


class Image:
    def __init__(self, plan):
        self.size = plan["block_size"]
        self.n = plan["blocks"]
        self.f = open(plan["image"], "r+b")

    def readblocks(self, n, buf, off=0):
        self.f.seek(n * self.size + off)
        self.f.readinto(buf)

    def writeblocks(self, n, buf, off=0):
        self.f.seek(n * self.size + off)
        self.f.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.n
        if op == 5:
            return self.size
        if op == 6:
            self.f.seek(arg * self.size)
            self.f.write(b"\xff" * self.size)
        return 0


def load(path):
    try:
        with open(path) as f:
            found = json.load(f)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def write(path, data):
    """Aside, then renamed."""
    parts = path.split("/")[1:-1]
    for n in range(len(parts)):
        try:
            os.mkdir("/flash/" + "/".join(parts[: n + 1]))
        except OSError:
            pass
    with open("/flash" + path + ".new", "wb") as f:
        f.write(data)
    os.rename("/flash" + path + ".new", "/flash" + path)
    print(path)


def exists(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def blank(image):
    """A file system has a superblock in one of its first two blocks. One that is there but damaged
    is not ours to overwrite."""
    buf = bytearray(image.size)
    for n in range(2):
        image.readblocks(n, buf)
        if any(b != 255 for b in buf):
            return False
    return True


def main():
    plan = json.loads(sys.stdin.readline())
    image = Image(plan)
    if blank(image):
        vfs.VfsLfs2.mkfs(image)
    vfs.mount(vfs.VfsLfs2(image), "/flash")
    if exists("/flash/.filler"):  # a test filled the flash and left
        os.remove("/flash/.filler")
    if plan["files"] is not None:
        installed = load("/flash" + INSTALLED)
        for path, sha256 in plan["files"].items():
            if installed.get(path) != sha256 or not exists("/flash/" + path):
                with open(plan["root"] + "/" + path, "rb") as f:
                    write("/" + path, f.read())
        for path in installed:
            if path not in plan["files"] and exists("/flash/" + path):
                os.remove("/flash/" + path)
                print("/" + path)
        if installed != plan["files"]:
            write(INSTALLED, json.dumps(plan["files"]).encode())
    if plan["ca"]:
        write("/ca.der", bytes.fromhex(plan["ca"]))
    config = load("/flash/config.json")
    if any(config.get(key) != value for key, value in plan["config"].items()):
        config.update(plan["config"])
        write("/config.json", json.dumps(config).encode())
    vfs.umount("/flash")
    image.f.close()


main()
