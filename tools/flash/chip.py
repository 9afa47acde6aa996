"""What esptool says of a chip. Pure readers of what it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools.problem import Problem


@dataclass(frozen=True, slots=True)
class Chip:
    """``name`` as in the table of images (``esp32c3``), ``mac`` with colons."""

    name: str
    mac: str
    flash_bytes: int


def read(printed: str) -> Chip:
    """From what ``esptool flash-id`` printed. Problem where it says too little."""
    name = re.search(r"Connected to (ESP32(?:-\w+)?)\b", printed)
    mac = re.search(r"MAC: +((?:[0-9a-f]{2}:){5}[0-9a-f]{2})", printed)
    size = re.search(r"Detected flash size: +(\d+)(KB|MB)", printed)
    if name is None or mac is None or size is None:
        raise Problem("esptool reached the chip, and what it says of it is not understood here")
    unit = 1024 if size[2] == "KB" else 1024 * 1024
    return Chip(name[1].lower().replace("-", ""), mac[1], int(size[1]) * unit)


def device_id(mac: str) -> str:
    """A name for a board that has none: ``board-`` and the end of its MAC."""
    return "board-" + mac.replace(":", "")[-6:]
