"""``ganglion flash``: the whole way, from the port to the first sentence."""

from __future__ import annotations

import getpass
import os
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.accounts import check_device_id
from tools.client import Client, Refused
from tools.flash import chip as chips
from tools.flash import ports
from tools.flash.chip import Chip
from tools.flash.onboard import Found
from tools.flash.steps import Steps
from tools.problem import Problem, Usage
from tools.state import Home, Running

_ONLINE_S: Final = 60.0
_STEPS: Final = 8


@dataclass(frozen=True)
class Options:
    """``port`` "" finds it; ``device`` "" keeps the board's name, or makes one of its MAC."""

    home: Home
    port: str = ""
    image: Path | None = None
    erase: bool = False
    device: str = ""
    ssid: str = ""
    renew: bool = False


def flash(options: Options) -> None:
    """Problem where a step fails; what was done stays, and the next run goes on there."""
    if options.device:
        try:
            check_device_id(options.device)
        except ValueError as error:
            raise Usage(str(error)) from error
    running = options.home.running()  # first: without it the last steps cannot be done
    client = Client(running)
    steps = Steps("", _STEPS)
    with steps.step("port", "where is the board?"):
        steps.port = ports.choose(options.port)
    chip = steps.chip()
    image, path = steps.image(chip, options.image)
    steps.write(chip, image, path, options.erase)
    found = steps.probe()
    steps.files(found)
    config = _settings(options, client, running, chip, found)
    boot = _boot(client, config["device"])
    if config == found.config:
        with steps.step("settings", "who it is and where it belongs"):
            print(f"         as they were: {config['device']!r}")
    else:
        steps.settings(config)
    _start(steps, client, config["device"], boot)
    took = ", ".join(f"{name} {s:.1f}" for name, s in steps.times.items())
    print(f"{config['device']} is online. Seconds: {took}; {sum(steps.times.values()):.1f} in all.")
    print(f'Try: {options.home.command("say")} {config["device"]} "turn on pin 2"')


# ---- settings


def _settings(
    options: Options, client: Client, running: Running, chip: Chip, found: Found
) -> dict[str, Any]:
    """The board's own settings stay; what is missing is asked for and registered."""
    config = dict(found.config or {})
    device = options.device or config.get("device") or chips.device_id(chip.mac)
    if options.ssid or "wifi" not in config:
        config["wifi"] = _wifi(options.ssid)
    if config.get("device") != device or "secret" not in config or options.renew:
        config["secret"] = _registered(options, client, device)
    broker = running.broker
    config.update(device=device, host=broker.host, port=broker.port, board=chip.name)
    return config


def _wifi(ssid: str) -> dict[str, str]:
    """From the environment, or asked; the password without echo."""
    ssid = ssid or os.environ.get("GANGLION_WIFI_SSID", "")
    password = os.environ.get("GANGLION_WIFI_PASSWORD")
    if not sys.stdin.isatty() and (not ssid or password is None):
        raise Usage(
            "the board needs a Wi-Fi network: set GANGLION_WIFI_SSID and GANGLION_WIFI_PASSWORD "
            "(empty for an open network), or run this at a terminal and be asked"
        )
    ssid = ssid or input("Wi-Fi network (2.4 GHz): ").strip()
    if password is None:
        password = getpass.getpass(f"Password of {ssid!r} (empty if open): ")
    if not 1 <= len(ssid.encode()) <= 32:
        raise Usage("the name of a Wi-Fi network has 1 to 32 bytes")
    if password and not 8 <= len(password.encode()) <= 63:
        raise Usage("a WPA password has 8 to 63 characters; none for an open network")
    return {"ssid": ssid, "password": password}


def _registered(options: Options, client: Client, device: str) -> str:
    kept = options.home.secret(device)
    try:
        secret = str(client.register(device, renew=options.renew)["secret"])
    except Refused as refused:
        if refused.code == "known" and kept:
            return kept  # registered in a run that was cut off before the board had it
        if refused.code == "known":
            raise Problem(
                f"{device!r} is registered already, and this board is not it. Give another name "
                "with --device, or take a new secret with --renew, which shuts the other one out"
            ) from refused
        raise
    # Before the board has it: a run that is cut off here goes on with the same.
    options.home.remember(device, secret)
    return secret


# ---- online


def _boot(client: Client, device: str) -> int | None:
    for known in client.devices():
        if known["device"] == device and known["online"]:
            return int(known["boot"])
    return None


def _start(steps: Steps, client: Client, device: str, before: int | None) -> None:
    with steps.step("online", "it starts, and says so at the broker"):
        steps.start()
        line = _Line(steps.port)
        until = time.monotonic() + _ONLINE_S
        try:
            while True:
                boot = _boot(client, device)
                if boot is not None and boot != before:
                    return
                trouble = line.trouble()
                if trouble or time.monotonic() > until:
                    raise Problem(trouble or _silent(device))
                time.sleep(0.1)
        finally:
            line.close()


def _silent(device: str) -> str:
    return (
        f"{device} did not come online within {_ONLINE_S:.0f} s, and its serial line says nothing "
        "of why. `status` on its console (mpremote connect, or any terminal at 115200) tells more"
    )


_TROUBLES: Final = (
    (
        r"Wi-Fi .*: wrong password",
        "the Wi-Fi password is wrong, the board says. Run this again with --wifi, and be asked",
    ),
    (
        r"Wi-Fi .*: no access point of that name",
        "the board finds no Wi-Fi network of that name. It sees 2.4 GHz only; is the name right, "
        "and the router near? Run this again with --wifi",
    ),
    (
        r"Wi-Fi .*: the network is open",
        "the Wi-Fi network is open, and a password was given. Run this again with --wifi",
    ),
    (
        r"refused: .*(not authori[sz]ed|user name|password|credentials)",
        "the broker refuses the board's login. Run this again with --renew: it gets a new one",
    ),
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

    def trouble(self) -> str:
        """Why it cannot come online, in words with a cure; "" so far."""
        for pattern, told in _TROUBLES:
            if re.search(pattern, self._text):
                return told
        return ""

    def close(self) -> None:
        self._ended.set()
        self._thread.join(1)
        self._serial.close()
