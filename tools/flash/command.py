"""``ganglion flash``: the whole way, from the port to the first sentence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.client import Client
from tools.flash import chip as chips
from tools.flash import online, ports, settings
from tools.flash.chip import Chip
from tools.flash.onboard import Found
from tools.flash.settings import Said
from tools.flash.steps import Steps

_STEPS: Final = 8


@dataclass(frozen=True)
class Options(Said):
    """``port`` "" finds it."""

    image: Path | None = None
    erase: bool = False


def flash(options: Options) -> None:
    """Problem where a step fails; what was done stays, and the next run goes on there."""
    options.check()
    running = options.home.running()  # first: without it the last steps cannot be done
    client = Client(running)
    steps = Steps("", _STEPS)
    with steps.step("port", "where is the board?"):
        steps.port = ports.choose(options.port)
    chip = steps.chip()
    place = settings.place(options, running, steps.port)
    image, path = steps.image(chip, options.image)
    steps.write(chip, image, path, options.erase)
    found = steps.probe()
    steps.files(found)
    config = _config(options, client, chip, found)
    config.pop("ca", None)
    config.update(place.entries())
    before = online.boot(client, config["device"])
    steps.settings(config, place.ca, found.config)
    online.bring_up(steps, client, config, before)
    took = ", ".join(f"{name} {s:.1f}" for name, s in steps.times.items())
    print(f"{config['device']} is online. Seconds: {took}; {sum(steps.times.values()):.1f} in all.")
    print(f'Try: {options.home.command("say")} {config["device"]} "turn on pin 2"')


def _config(options: Options, client: Client, chip: Chip, found: Found) -> dict[str, Any]:
    """The board's own settings stay; what is missing is asked for and registered."""
    config = dict(found.config or {})
    device = options.device or config.get("device") or chips.device_id(chip.mac)
    if options.ssid or "wifi" not in config:
        config["wifi"] = settings.wifi(options.ssid)
    if config.get("device") != device or "secret" not in config or options.renew:
        config["secret"] = settings.login(options, client, device)
    config.update(device=device, board=chip.name)
    config.pop("trial", None)
    settings.begin_count(config)
    return config
