"""Switches of the bench: a board's power and its Wi-Fi, by what people have for that.

Each call returns when the switch says that it is done, and raises Problem when it is not.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from typing import IO, Final, Protocol

from tools.hil.capabilities import Commands, Power, Relay, Uhubctl, Virtual, Wifi
from tools.problem import Problem

_HUB_S: Final = 20.0
_COMMAND_S: Final = 60.0
_RELAY_S: Final = 5.0
_SAID_BYTES: Final = 64 * 1024
_RELAY_BAUD: Final = 9600
_RELAY_START: Final = 0xA0
_NEW: Final = re.compile(r"New status for hub (\S+)")
_PORT: Final = re.compile(r"\s*Port (\d+): [0-9a-f]{4} (off|power)\b")


class PowerSwitch(Protocol):
    """The supply of a board."""

    def on(self) -> None:
        """Apply it. Raises Problem."""

    def off(self) -> None:
        """Cut it. Raises Problem."""


class WifiSwitch(Protocol):
    """The access point of a board."""

    def on(self) -> None:
        """Switch it on. Raises Problem."""

    def off(self) -> None:
        """Switch it off. Raises Problem."""


def make_power(capability: Power) -> PowerSwitch:
    """The switch that ``[power]`` names; nothing is switched yet. The virtual board's own is the
    bench's: ValueError."""
    match capability:
        case Uhubctl():
            return HubPort(capability)
        case Relay():
            return RelayBoard(capability)
        case Commands():
            return ByCommands(capability)
        case Virtual():
            raise ValueError("the bench itself switches the virtual board's power")


def make_wifi(capability: Wifi) -> WifiSwitch:
    """The switch that ``[wifi]`` names; nothing is switched yet. The virtual board's own is the
    bench's: ValueError."""
    if isinstance(capability.switch, Virtual):
        raise ValueError("the bench itself switches the virtual board's Wi-Fi")
    return ByCommands(capability.switch)


class HubPort:
    """A port of a USB hub that can switch each for itself, by uhubctl
    (https://github.com/mvp/uhubctl)."""

    def __init__(self, capability: Uhubctl) -> None:
        self._location = capability.location
        self._port = capability.port

    def on(self) -> None:
        self._switch("on")

    def off(self) -> None:
        self._switch("off")

    def _switch(self, action: str) -> None:
        # Debian has it where only root's PATH leads.
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
        program = shutil.which("uhubctl", path=path)
        if program is None:
            raise Problem(
                "[power] uhubctl: the program uhubctl is not installed. Install it "
                "(apt install uhubctl, brew install uhubctl), or switch the power by a relay"
            )
        command = (program, "-l", self._location, "-p", str(self._port), "-a", action)
        code, out, err = _run(command, False, _HUB_S, "[power] uhubctl")
        self._check(action, code, out, err)

    def _check(self, action: str, code: int, out: str, err: str) -> None:
        """uhubctl ends with 0 though a port stayed as it was, so what it shows counts."""
        hub, port = self._location, self._port
        if not _NEW.search(out):
            if "permission" in err.lower():
                raise Problem(
                    f"[power] uhubctl: no permission to switch the USB hub {hub}. Add the udev "
                    "rule of https://github.com/mvp/uhubctl#linux-usb-permissions"
                )
            if "no compatible" in err.lower():
                raise Problem(
                    f"[power] uhubctl: there is no hub at {hub} that can switch the power of one "
                    "port. `uhubctl` alone lists those that can; most hubs cannot"
                )
            raise Problem(f"[power] uhubctl: hub {hub} was not switched: {_last(err or out, code)}")
        states = [state for number, state in _ports_after(out) if number == port]
        if not states:
            raise Problem(f"[power] port: hub {hub} has no port {port}")
        wanted = "power" if action == "on" else "off"
        if any(state != wanted for state in states):
            raise Problem(
                f"[power] uhubctl: port {port} of hub {hub} did not go {action}. Try it by hand: "
                f"uhubctl -l {hub} -p {port} -a {action}"
            )


def _ports_after(printed: str) -> list[tuple[int, str]]:
    """(port, "off" or "power") of each hub's new status; a USB 3 hub is two, which go together."""
    found, new = [], False
    for line in printed.splitlines():
        if _NEW.match(line):
            new = True
        elif not line.startswith(" "):
            new = False
        elif new and (port := _PORT.match(line)):
            found.append((int(port[1]), port[2]))
    return found


class RelayBoard:
    """A USB relay board of the LCUS kind: four bytes at 9600 baud, and no answer.

    Start 0xA0, channel, 1 (the relay pulls) or 0, and the low byte of their sum, as sellers of the
    LCUS-1 tell. That the relay did it nobody says: the tests see whether the board went.
    """

    def __init__(self, capability: Relay) -> None:
        self._relay = capability

    def on(self) -> None:
        self._send(not self._relay.inverted)

    def off(self) -> None:
        self._send(self._relay.inverted)

    def _send(self, pulled: bool) -> None:
        import serial  # type: ignore[import-untyped]

        port = self._relay.port
        try:
            with serial.Serial(port, _RELAY_BAUD, write_timeout=_RELAY_S) as line:
                line.write(relay_bytes(self._relay.channel, pulled))
                line.flush()
        except (OSError, ValueError) as error:
            cure = "is the relay board plugged in, may you use the port, is it this one?"
            raise Problem(f"[power] relay: {port} does not work: {error}; {cure}") from None


def relay_bytes(channel: int, pulled: bool) -> bytes:
    """What makes the relay of a channel (from 1) pull or drop."""
    body = (_RELAY_START, channel, int(pulled))
    return bytes((*body, sum(body) & 0xFF))


class ByCommands:
    """Two shell commands. They have a minute; what they leave running in the background stays."""

    def __init__(self, capability: Commands) -> None:
        self._commands = capability

    def on(self) -> None:
        self._run(self._commands.on, "on")

    def off(self) -> None:
        self._run(self._commands.off, "off")

    def _run(self, command: str, field: str) -> None:
        where = f"[{self._commands.table}] {field}"
        code, out, err = _run(command, True, _COMMAND_S, where)
        if code:
            # The command itself is not shown: people write tokens of smart plugs into it.
            raise Problem(f"{where}: the command failed: {_last(err or out, code)}")


def _run(
    command: str | Sequence[str], shell: bool, seconds: float, where: str
) -> tuple[int, str, str]:
    """Exit status, what it printed, what it complained of. Problem when it has no end or no start.

    Into files and not pipes: a child that it leaves in the background would hold a pipe open.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                command,
                shell=shell,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise Problem(f"{where}: it cannot be run: {error.strerror}") from None
        try:
            code = process.wait(seconds)
        except BaseException as error:  # Ctrl-C, too, must not leave it running
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise Problem(f"{where}: no end after {seconds:g} s; it was killed") from None
            raise
        return code, _text(out), _text(err)


def _text(file: IO[bytes]) -> str:
    """The beginning of it: nobody reads more."""
    file.seek(0)
    return file.read(_SAID_BYTES).decode(errors="replace")


def _last(said: str, code: int) -> str:
    """The exit status, and the last lines of what it said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()][-3:]
    return f"exit status {code}, {'; '.join(lines)[:400] if lines else 'and it said nothing'}"
