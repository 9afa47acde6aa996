"""Modules that are loaded for a use and dropped after it: what is rare, or runs once, must not
cost what every turn needs. Loading one takes some milliseconds of flash reads."""

import gc
import sys


def load(name):
    """The module `ganglion.<name>`."""
    try:
        return __import__("ganglion." + name, None, None, (name,))
    except MemoryError:
        # Half of it would stay, and every later call would find the heap so much smaller. What
        # most of them bring along goes, too; whoever uses it has it.
        drop(name, "tz", "civil")
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
