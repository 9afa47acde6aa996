"""``ganglion provision``: a board's Wi-Fi, broker, name and secret, set or changed over USB."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from tools.accounts import check_device_id
from tools.client import Client, Refused
from tools.flash import chip as chips
from tools.flash import online, ports, settings
from tools.flash.settings import Place, Said
from tools.flash.steps import Steps
from tools.problem import Problem, Usage
from tools.state import Running

Change = Literal["", "wifi", "broker", "name"]
_STEPS: Final = 4


@dataclass(frozen=True)
class Options(Said):
    """``change`` "" asks for everything; else only that is asked for and touched."""

    change: Change = ""


def what(change: str) -> Change:
    """Usage for what cannot be changed."""
    for known in get_args(Change):
        if change == known:
            return cast(Change, known)
    raise Usage(f"--change takes wifi, broker or name, not {change!r}")


def provision(options: Options) -> None:
    """Problem where a step fails; what was done stays, and it can be run again."""
    options.check()
    if options.device and options.change not in ("", "name"):
        raise Usage(f"--device is a name; with --change {options.change} it stays as it is")
    running = options.home.running()
    client = Client(running)
    steps = Steps("", _STEPS)
    with steps.step("port", "where is the board?"):
        steps.port = ports.choose(options.port)
    with _going_on(steps):
        config, old = _write(options, client, steps, running)
        before = online.boot(client, config["device"])
    online.bring_up(steps, client, config, before)
    print(f"{config['device']} is online, {sum(steps.times.values()):.1f} s in all.")
    if old.get("device") not in (None, config["device"]):
        _forget(client, old["device"])


@contextlib.contextmanager
def _going_on(steps: Steps) -> Iterator[None]:
    """What asks a board stops its agent: where nothing comes of it, it starts again."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Problem):
            steps.start()
        raise


def _write(
    options: Options, client: Client, steps: Steps, running: Running
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`/config.json` as it is now, and as it was."""
    found = steps.probe(fresh=False)
    place = None
    if options.change in ("", "broker"):
        place = settings.place(options, running, steps.port)
    if not found.installed:
        raise Problem("Ganglion is not on this board yet: run `make flash`, which provisions, too")
    old = found.config or {}
    if options.change and not old:
        raise Problem("this board has no settings yet: run this without --change")
    known = old
    if "board" not in old:
        steps.total += 2
        chip = steps.chip()
        known = {"device": chips.device_id(chip.mac), **old, "board": chip.name}
        steps.probe()  # esptool started it anew
    config = _config(options, client, known, place)
    steps.settings(config, place.ca if place else b"", found.config)
    return config, old


def _config(
    options: Options, client: Client, known: dict[str, Any], place: Place | None
) -> dict[str, Any]:
    """All of `/config.json`. ``known`` is what it was, or the least that a chip says of itself."""
    config = dict(known)
    if options.change in ("", "name"):
        config["device"] = _name(options, known["device"])
    if options.change in ("", "wifi"):
        config["wifi"] = settings.wifi(options.ssid)
    if place is not None:
        config.pop("ca", None)
        config.update(place.entries())
    if options.change != "wifi":
        config.pop("trial", None)  # what was said by message; this is said at the board itself
    if not options.change:
        settings.begin_count(config)
    if options.change != "wifi" or options.renew:
        held = known.get("secret", "") if config["device"] == known["device"] else ""
        config["secret"] = settings.login(options, client, config["device"], held)
    return config


def _name(options: Options, now: str) -> str:
    if options.device:
        return options.device
    if not sys.stdin.isatty():
        if options.change == "name":
            raise Usage("say the new name with --device, or run this at a terminal and be asked")
        return now
    device = input(f"Name of the board [{now}]: ").strip() or now
    try:
        return check_device_id(device)
    except ValueError as error:
        raise Usage(str(error)) from error


def _forget(client: Client, device: str) -> None:
    """The board is known by another name now: its old login would be a key under the mat."""
    try:
        client.remove_device(device)
    except Refused as refused:
        if refused.code == "no_credentials":
            print(f"Shut user {device!r} out at your broker: nobody uses it any more.")
    else:
        print(f"{device!r} may not log in any more.")
