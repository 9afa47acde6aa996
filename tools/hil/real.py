"""A real board in the bench's hands: its own settings and files are kept aside and put back."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final

from tools.flash import settings
from tools.flash.settings import CA_ON_BOARD
from tools.flash.steps import Steps
from tools.hil.line import SerialLine
from tools.hil.switches import PowerSwitch, WifiSwitch
from tools.problem import Problem, Usage, shown

# What the bench leaves as it is: the slots, what flashing puts beside them, and the count of boots,
# which may only grow.
_OURS: Final = (
    "a", "b", "main.py", "choose.mpy", "deadline.mpy", "slot", "installed.json", "boot",
)  # fmt: skip
_LIST: Final = f"""
import os
for e in os.ilistdir("/"):
    if e[0] not in {_OURS!r} and not e[1] & 0x4000:
        print("ganglion-file:" + e[0])
"""
_REMOVE: Final = f"""
import os
for e in list(os.ilistdir("/")):
    if e[0] not in {_OURS!r} and not e[1] & 0x4000:
        os.remove("/" + e[0])
"""
_LISTING: Final = "files.json"
_PORT_S: Final = 15.0
_OFF_S: Final = 1.0
"""Until the capacitors of a board and its USB bridge are empty enough to be a power cut."""


class RealHands:
    """The board at ``port``. What was on it is in a folder of its MAC below ``kept`` meanwhile;
    `restore` brings that back after a bench that could not end, too."""

    kind = "real"

    def __init__(
        self,
        port: str,
        device: str,
        kept: Path,
        power: PowerSwitch | None = None,
        wifi: WifiSwitch | None = None,
        ssid: str = "",
    ) -> None:
        self.line = SerialLine(port)
        self._device = device
        self._kept = kept
        self._power = power
        self._wifi = wifi
        self._ssid = ssid
        self._chip = ""
        self._powered = self._has_wifi = True
        self._holds = False
        self._own: Path | None = None

    def open(self, secret: str, host: str, port: int, ca: bytes) -> None:
        """Copy what it has, put this firmware and the bench's settings on it, start it."""
        steps = Steps(self.line.port, 4)
        chip = steps.chip()
        found = steps.probe()
        if not found.installed:
            raise Problem("Ganglion is not on this board yet: run `make flash` first")
        self._chip = chip.name
        self._own = self._kept / chip.mac.replace(":", "")
        try:
            self._keep(self._own)
        except BaseException:
            with contextlib.suppress(Problem):
                steps.start()  # whoever asks a board stops its agent
            raise
        self._holds = True
        steps.files(found)
        known = found.config or {}
        ssid = self._ssid or known.get("wifi", {}).get("ssid", "")
        wifi = known["wifi"] if known.get("wifi", {}).get("ssid") == ssid != "" else None
        config = {
            "device": self._device,
            "secret": secret,
            "host": host,
            "port": port,
            "board": chip.name,
            "wifi": wifi or settings.wifi(ssid),
            **({"ca": CA_ON_BOARD} if ca else {}),
        }
        self._clear()
        steps.settings(config, ca)
        steps.start()
        self.line.open()

    # ---- what was on it

    def _keep(self, own: Path) -> None:
        """Problem where an earlier bench's copy is there: it is the board's, and not replaced."""
        if (own / _LISTING).exists():
            raise Problem(
                f"{shown(own)} has what was on this board before an earlier bench, which did not "
                f"end well. `make hil PORT={self.line.port} RESTORE=1` puts it back"
            )
        own.mkdir(parents=True, exist_ok=True)
        own.chmod(0o700)  # secrets are among it
        printed = self.line_tool("exec", _LIST)
        names = [
            line.partition(":")[2].strip()
            for line in printed.splitlines()
            if line.startswith("ganglion-file:")
        ]
        for name in names:
            self.line_tool("fs", "cp", f":/{name}", str(own / name))
        # Last: only a whole copy is one.
        (own / _LISTING).write_text(json.dumps(names))
        print(f"         {len(names)} files of the board are kept in {shown(own)}")

    def _clear(self) -> None:
        self.line_tool("exec", _REMOVE)

    def restore(self) -> None:
        """Put back what `open` kept, or an earlier bench at this port. Usage where there is
        nothing of this board."""
        self.line.close()
        if self._own is None:
            chip = Steps(self.line.port, 2)
            self._own = self._kept / chip.chip().mac.replace(":", "")
            chip.probe()  # esptool started it anew
        listing = self._own / _LISTING
        if not listing.exists():
            self.line_tool("reset")
            raise Usage(f"nothing of this board is in {shown(self._own)}; it was left as it is")
        self._clear()
        for name in json.loads(listing.read_text()):
            self.line_tool("fs", "cp", str(self._own / name), f":/{name}")
        self.line_tool("reset")
        shutil.rmtree(self._own)
        print("the board has its own settings, memory, routines and schedules again")

    def line_tool(self, *command: str) -> str:
        """mpremote at a line that nobody reads."""
        from tools.flash import tool

        return tool.run("mpremote", "connect", self.line.port, "resume", *command, show=False)

    def close(self) -> None:
        """Safe to repeat."""
        if self._holds:
            self._holds = False
            try:
                if self._power is not None:
                    self.power(True)
                self.restore()
            except Problem as problem:
                print(
                    f"the board could not be given its own files back: {problem}. They are in "
                    f"{shown(self._own or self._kept)}; `make hil PORT={self.line.port} "
                    "RESTORE=1` does it later",
                    file=sys.stderr,
                )
        self.line.close()

    def described(self) -> dict[str, Any]:
        """``chip``, ``port`` and ``machine`` of the report."""
        return {"chip": self._chip, "port": self.line.port, "machine": ""}

    # ---- what tests do to it

    def reset(self) -> None:
        self.line.pulse_reset()

    def power(self, on: bool) -> None:
        assert self._power is not None, "a test that switches the power needs [power]"
        if on == self._powered:
            return
        self._powered = on
        if on:
            self._power.on()
            self._reopen()
        else:
            # A hub that switches the board's own port takes its serial line away, too.
            self.line.close()
            self._power.off()
            time.sleep(_OFF_S)

    def _reopen(self) -> None:
        """Problem where the port does not come back."""
        until = time.monotonic() + _PORT_S
        while True:
            try:
                return self.line.open()
            except Problem:
                if time.monotonic() > until:
                    raise
            time.sleep(0.1)

    def wifi(self, on: bool) -> None:
        assert self._wifi is not None, "a test that switches the Wi-Fi needs [wifi]"
        if on == self._has_wifi:
            return
        self._has_wifi = on
        if on:
            self._wifi.on()
        else:
            self._wifi.off()
