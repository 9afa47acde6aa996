"""The two slots on flash and what /slot says of them (main.py has the form of it)."""

import binascii
import hashlib
import os


def read():
    """The words of /slot; ["", "0"] where the firmware lies in the root."""
    try:
        with open("/slot") as f:
            return f.read().split()
    except OSError:
        return ["", "0"]


def write(words):
    """At one instant; the old ones stand until then."""
    with open("/slot.new", "w") as f:
        f.write(" ".join(words))
    os.rename("/slot.new", "/slot")


def other(slot):
    return "/b" if slot == "/a" else "/a"


def sha256(path):
    """In hex; "" where there is no such file."""
    found = hashlib.sha256()
    block = bytearray(512)
    try:
        with open(path, "rb") as f:
            while True:
                n = f.readinto(block)
                if not n:
                    return binascii.hexlify(found.digest()).decode()
                found.update(memoryview(block)[:n])
    except OSError:
        return ""
