"""The last step: the board starts, and says so at the broker. Where it does not, its own serial
line says why."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import Any, Final

from tools.client import Client
from tools.flash import settings
from tools.flash.cures import Cure, cure
from tools.flash.steps import Steps
from tools.problem import Problem

_ONLINE_S: Final = 60.0
_WIFI: Final = "Run `ganglion provision --change wifi`"

# What a board says of itself. These are certain when they are first said.
TROUBLES: Final[tuple[tuple[str, Cure], ...]] = (
    (
        r"Wi-Fi .*: wrong password",
        Cure("Wrong Wi-Fi password", "the Wi-Fi password is wrong, the board says", _WIFI),
    ),
    (
        r"Wi-Fi .*: no access point of that name",
        Cure(
            "No such Wi-Fi network",
            "the board finds no Wi-Fi network of that name",
            f"It sees 2.4 GHz only; is the name right, and the router near? {_WIFI}",
        ),
    ),
    (
        r"Wi-Fi .*: the network is open",
        Cure(
            "The Wi-Fi network is open",
            "the Wi-Fi network is open, and a password was given",
            f"{_WIFI}, with no password",
        ),
    ),
    (
        r"refused: .*(not authori[sz]ed|user name|password|credentials)",
        Cure(
            "The broker refuses the login",
            "the broker refuses the board's login",
            "Run this again with --renew: it gets a new one",
        ),
    ),
    (
        r"TLS: The certificate |X509_CERT_VERIFY_FAILED|broker \S+: \(?-9984",
        Cure(
            "The broker's certificate is refused",
            "the board does not trust the broker's certificate",
            "`ganglion ca show` says for which names and how long it is; `ganglion ca renew` and a "
            "new start of `ganglion serve` mend that, `ganglion provision --change broker` gives "
            "the board another authority",
        ),
    ),
    (
        r"/ca\.der is ",
        Cure(
            "The board has no authority",
            "the board has no authority to verify the broker with",
            "Run `ganglion provision --change broker`",
        ),
    ),
    (
        r"SAFE MODE",
        Cure(
            "Safe mode",
            "three starts in a row failed, and the board is in safe mode",
            "`status` on its console says the last fault; `make flash` copies the firmware anew",
        ),
    ),
)

# These may pass by themselves: told when the time is up.
DOUBTS: Final[tuple[tuple[str, Cure], ...]] = (
    (
        r"TLS needs the time",
        Cure(
            "The board does not know the time",
            "the board needs the time to verify the broker, and no NTP server answers it",
            "Let it reach UDP port 123 of the internet",
        ),
    ),
    (
        r"broker \S+: (?:\[Errno|-?\d|\(-|write failed|the broker closed|canceled)",
        Cure(
            "The broker is not reached",
            "the board has Wi-Fi, and does not reach the broker",
            "Is it the same network, with no firewall and no guest network between? "
            "`ganglion serve --lan` says where boards connect",
        ),
    ),
)


def names() -> list[str]:
    """Of all of them, for the page of troubleshooting."""
    return [found.name for _, found in (*TROUBLES, *DOUBTS)]


def trouble(printed: str) -> Cure | None:
    """Why a board that printed this cannot come online; None: nothing certain."""
    found = cure(printed)
    if found is not None and found.name == "Brown-out":
        return found
    return _first(TROUBLES, printed)


def doubt(printed: str) -> Cure | None:
    """What may have kept it from coming online."""
    return _first(DOUBTS, printed)


def _first(table: tuple[tuple[str, Cure], ...], text: str) -> Cure | None:
    return next((found for pattern, found in table if re.search(pattern, text)), None)


class Trouble(Problem):
    """Why a board does not come online. ``cure`` is None where it does not say."""

    def __init__(self, text: str, found: Cure | None) -> None:
        super().__init__(text)
        self.cure = found


def boot(client: Client, device: str) -> int | None:
    """The boot counter of a device that is online, else None."""
    for known in client.devices():
        if known["device"] == device and known["online"]:
            return int(known["boot"])
    return None


def bring_up(steps: Steps, client: Client, config: dict[str, Any], before: int | None) -> None:
    """Start it and wait until it is online, ``before`` being its boot counter until now. Where
    the Wi-Fi is not right a person at a terminal is asked again; else Trouble."""
    while True:
        try:
            _start(steps, client, config["device"], before)
            return
        except Trouble as told:
            wrong = told.cure is not None and "Wi-Fi" in told.cure.name
            if not (wrong and sys.stdin.isatty()):
                raise
            print(f"         {told}. Once more:")
        config["wifi"] = settings.wifi("")
        steps.settings(config)


def _start(steps: Steps, client: Client, device: str, before: int | None) -> None:
    with steps.step("online", "it starts, and says so at the broker"):
        steps.start()
        line = _Line(steps.port)
        until = time.monotonic() + _ONLINE_S
        try:
            while True:
                now = boot(client, device)
                if now is not None and now != before:
                    return
                found = trouble(line.text)
                if found is not None:
                    raise Trouble(_told(found), found)
                if time.monotonic() > until:
                    found = doubt(line.text)
                    raise Trouble(_told(found) if found else _silent(device), found)
                time.sleep(0.1)
        finally:
            line.close()


def _told(found: Cure) -> str:
    return f"{found.what}. {found.todo}. (docs/troubleshooting.md, '{found.name}')"


def _silent(device: str) -> str:
    return (
        f"{device} did not come online within {_ONLINE_S:.0f} s, and its serial line says nothing "
        "of why. `status` on its console (mpremote connect, or any terminal at 115200) tells more"
    )


class _Line:
    """What the board prints while it starts."""

    def __init__(self, port: str) -> None:
        import serial  # type: ignore[import-untyped]

        self._text = ""
        try:
            self._serial = serial.Serial(port, 115200, timeout=0.1)
        except (OSError, serial.SerialException) as error:
            raise Problem(f"{port} cannot be opened: {error}") from None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                self._text += self._serial.read(256).decode(errors="replace")
            except OSError:
                return

    @property
    def text(self) -> str:
        """All so far."""
        return self._text

    def close(self) -> None:
        self._ended.set()
        self._thread.join(1)
        self._serial.close()
