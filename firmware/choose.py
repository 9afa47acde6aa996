"""Chooses the slot and counts its tries: the part of main.py that is done once main.py goes on. As
main.py, which loads it, it lies outside the slots, and no update changes it."""

import os

import machine


def choose():
    """Change into the slot's folder. How many boots the one on trial has left with this one; 0: it
    has had them, and the old one is back; -1: there is no trial."""
    left = -1
    try:
        with open("/slot") as f:
            slot = f.read().split()
        os.chdir(slot[0])
        left = int(slot[4])
        if left >= 0:
            slot[4] = str(left - 1)
            with open("/slot.new", "w") as f:
                f.write(" ".join(slot))
            os.rename("/slot.new", "/slot")
        if left > 0:
            machine.WDT(timeout=30000)
            os.chdir("/")
            __import__("deadline").begin()
            os.chdir(slot[2])
    except (OSError, ValueError, IndexError, ImportError):
        pass  # no trial; what cannot be counted, or ended, is not tried
    return left
