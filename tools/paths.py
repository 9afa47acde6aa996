"""Where things are: the checkout, what is built, what is cached, and the state of a system."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"
CACHE = ROOT / ".cache"


def ganglion_home() -> Path:
    """``$GANGLION_HOME``, else ``$XDG_STATE_HOME/ganglion``, else ``~/.local/state/ganglion``."""
    own = os.environ.get("GANGLION_HOME")
    if own:
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state").absolute() / "ganglion"
