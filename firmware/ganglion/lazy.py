"""Modules that are loaded for a use and dropped after it: what is rare, or runs once, must not
cost what every turn needs. Loading one takes some milliseconds of flash reads."""

import gc
import sys


def load(name):
    """The module `ganglion.<name>`."""
    # What an import leaves for good (names, for one) goes into the holes of what was garbage, and
    # not behind it: a heap that is nearly full must stay in one piece.
    gc.collect()
    there = list(sys.modules)
    try:
        return __import__("ganglion." + name, None, None, (name,))
    except MemoryError:
        # Half of it would stay, and what it had brought along: every later call would find the
        # heap so much smaller.
        for name in list(sys.modules):
            if name not in there and name.startswith("ganglion."):
                drop(name.split(".")[1])
        gc.collect()
        raise


def loaded(name):
    """The module `ganglion.<name>` if it is in the heap, else None."""
    return sys.modules.get("ganglion." + name)


def drop(*names):
    """Let their memory go once nobody uses them any more."""
    # The package keeps references of its own.
    package = sys.modules["ganglion"]
    for name in names:
        sys.modules.pop("ganglion." + name, None)
        if hasattr(package, name):
            delattr(package, name)
