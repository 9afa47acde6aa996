"""Which serial ports may have a board behind them, and which of them it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

from tools.problem import Problem, Usage

# USB vendors of the bridges on ESP32 boards, and of Espressif's own USB: usb.org's list.
_BRIDGES: Final = {
    0x10C4: "CP210x",
    0x1A86: "CH340",
    0x0403: "FTDI",
    0x067B: "PL2303",
    0x303A: "Espressif USB",
    0x2341: "Arduino",
    0x239A: "Adafruit",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A serial port: its device, and what it says it is."""

    device: str
    what: str


def likely() -> list[Port]:
    """The ports that look like a board's."""
    from serial.tools import list_ports  # type: ignore[import-untyped]

    found = []
    for info in list_ports.comports():
        if info.vid in _BRIDGES:
            what = info.description if info.description not in (None, "n/a") else ""
            found.append(Port(info.device, what or _BRIDGES[info.vid]))
    return sorted(found, key=lambda port: port.device)


def choose(wanted: str, found: list[Port] | None = None) -> str:
    """The device to use: the wanted one, the only one, or the one that a person picks.

    Usage where there is none, or several and nobody to ask.
    """
    if wanted:
        return wanted
    ports = likely() if found is None else found
    if not ports:
        raise Problem(
            "no board is plugged in: no USB serial port was found. Use a cable that carries data "
            "(many only charge), or say which port it is: PORT=/dev/ttyUSB0"
        )
    if len(ports) == 1:
        print(f"         {ports[0].device} ({ports[0].what}), the only one")
        return ports[0].device
    lines = "\n".join(f"  {n}. {port.device}  {port.what}" for n, port in enumerate(ports, 1))
    if not sys.stdin.isatty():
        raise Usage(f"several boards may be plugged in; say which with PORT=…:\n{lines}")
    print(f"Several boards may be plugged in:\n{lines}")
    while True:
        answer = input(f"Which one, 1 to {len(ports)}? ").strip()
        if answer.isdigit() and 1 <= int(answer) <= len(ports):
            return ports[int(answer) - 1].device
