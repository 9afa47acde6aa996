"""What esptool or mpremote printed → what is wrong, and what a maker can do about it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Cure:
    """``name`` is also the heading in docs/troubleshooting.md."""

    name: str
    what: str
    todo: str


_TABLE: Final[tuple[tuple[str, Cure], ...]] = (
    (
        r"Permission denied|Errno 13|PermissionError",
        Cure(
            "No permission on the port",
            "you may not open the port",
            "sudo usermod -aG dialout $USER, then log out and in again (uucp on Arch; on macOS "
            "close what holds it)",
        ),
    ),
    (
        r"Errno 16|Device or resource busy|exclusively lock|Access is denied"
        r"|multiple access on port",
        Cure(
            "Port busy",
            "another program has the port open",
            "close the serial monitor, Thonny or screen that has it; `fuser <port>` says which",
        ),
    ),
    (
        r"Errno 2\b|No such file or directory|could not open port|failed to access",
        Cure(
            "No such port",
            "there is no such port",
            "plug the board in with a cable that carries data (many only charge), and look again "
            "with `make flash`",
        ),
    ),
    (
        r"is not an? ESP32\S* image|Unexpected chip ID in image|This chip is \S+, not",
        Cure(
            "Wrong chip image",
            "the image is for another chip",
            "leave IMAGE out and the right one is chosen, or give the one for this chip",
        ),
    ),
    (
        r"[Bb]rownout",
        Cure(
            "Brown-out",
            "the board's supply breaks down",
            "another USB port or cable, no hub; take off what hangs on 3V3; a capacitor of 100 µF "
            "at the supply helps",
        ),
    ),
    (
        r"Wrong boot mode detected|TX path seems to be down",
        Cure(
            "Not in download mode",
            "the chip runs its program instead of listening",
            "hold BOOT, press EN (or RST) once, let BOOT go, and run this again",
        ),
    ),
    (
        r"No serial data received|Failed to connect|Invalid head of packet|Packet content transfer",
        Cure(
            "The chip does not answer",
            "nothing that answers is at this port",
            "hold BOOT while it connects; try another cable (many only charge) and another port",
        ),
    ),
    (
        r"Serial data stream stopped|StopIteration|device reports readiness to read|Input/output"
        r" error|device disconnected|\bwrite timeout\b",
        Cure(
            "The line broke",
            "the connection was lost in the middle",
            "plug it in again and run this again: it goes on where it was",
        ),
    ),
    (
        r"could not enter raw repl|timeout waiting for remote",
        Cure(
            "MicroPython does not answer",
            "the board runs, but MicroPython's prompt does not come",
            "press EN (or RST) and run this again; ERASE=1 starts with an empty flash",
        ),
    ),
    (
        r"No space left|Errno 28|ENOSPC",
        Cure(
            "Flash full",
            "the board's file system is full",
            "remove files of yours (`mpremote fs ls`), or ERASE=1 for an empty one",
        ),
    ),
)

OF_THE_PORT: Final = ("No permission on the port", "Port busy", "No such port")
"""Waiting mends none of these."""


def cure(printed: str) -> Cure | None:
    """The first that fits what a tool printed; None: none does."""
    for pattern, found in _TABLE:
        if re.search(pattern, printed):
            return found
    return None


def names() -> list[str]:
    """All of them, for the page of troubleshooting."""
    return [found.name for _, found in _TABLE]
