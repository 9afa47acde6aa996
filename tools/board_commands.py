"""``ganglion flash``, ``provision``, ``update`` and ``board``: what brings boards to life.

Each imports what it needs when it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tools.options import (
    BrokerOption,
    CaOption,
    DeviceOption,
    HomeOption,
    InsecureOption,
    PortOption,
    RenewOption,
)
from tools.problem import FAILED


def flash(
    port: PortOption = "",
    image: Annotated[
        Path | None,
        typer.Option("--image", metavar="FILE", envvar="IMAGE", show_envvar=True,
                     help="A MicroPython image of your own."),
    ] = None,
    erase: Annotated[
        bool,
        typer.Option("--erase", help="Erase the whole flash first: memory, routines, settings."),
    ] = False,
    device: DeviceOption = "",
    wifi: Annotated[
        str, typer.Option("--wifi", metavar="NAME", help="Another Wi-Fi network for it.")
    ] = "",
    renew: RenewOption = False,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    home: HomeOption = None,
) -> None:  # fmt: skip
    """Put MicroPython and Ganglion on a board, and have it come online."""
    from tools.flash import command
    from tools.state import Home

    command.flash(
        command.Options(
            Home(home), port, device, wifi, renew, ca, insecure, image=image, erase=erase
        )
    )


def provision(
    port: PortOption = "",
    change: Annotated[
        str,
        typer.Option("--change", metavar="WHAT",
                     help="Only this: wifi, broker or name. Default: everything is asked for."),
    ] = "",
    device: DeviceOption = "",
    wifi: Annotated[
        str, typer.Option("--wifi", metavar="NAME", help="Its Wi-Fi network.")
    ] = "",
    renew: RenewOption = False,
    ca: CaOption = None,
    insecure: InsecureOption = False,
    home: HomeOption = None,
) -> None:  # fmt: skip
    """Tell a board over USB its Wi-Fi, its broker and its name; or change one of these."""
    from tools import provision as provisioning
    from tools.state import Home

    provisioning.provision(
        provisioning.Options(
            Home(home), port, device, wifi, renew, ca, insecure, change=provisioning.what(change)
        )
    )


def update(
    devices: Annotated[list[str], typer.Argument(metavar="DEVICE...")],
    older: Annotated[
        bool, typer.Option("--older", help="Also to a version older than what a device has.")
    ] = False,
    firmware: Annotated[
        Path | None, typer.Option("--firmware", metavar="FOLDER", help="Sources of your own.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Bring boards that run to this firmware, over MQTT. The old one returns if it fails."""
    from tools import update as updates
    from tools.paths import FIRMWARE
    from tools.state import Home

    options = updates.Options(Home(home), devices, older, (firmware or FIRMWARE).absolute())
    if not updates.update(options):
        raise typer.Exit(FAILED)


def board(
    device: DeviceOption = "board",
    broker: BrokerOption = "",
    ca: CaOption = None,
    secret: Annotated[
        str,
        typer.Option("--secret", metavar="TEXT", envvar="GANGLION_SECRET", show_envvar=True,
                     help="What the device logs in with at --broker; its user name is its id."),
    ] = "",
    renew: RenewOption = False,
    pty: Annotated[
        bool, typer.Option("--pty", help="Its serial line as a device, too, for picocom or screen.")
    ] = False,
    insecure: InsecureOption = False,
    wait: Annotated[float, typer.Option("--wait", hidden=True)] = 0.0,
    home: HomeOption = None,
) -> None:  # fmt: skip
    """Run one virtual board, its serial line on this terminal."""
    from tools import board as boards
    from tools.state import Home

    boards.run(
        Home(home),
        device,
        broker=broker,
        ca=ca,
        secret=secret,
        renew=renew,
        wait_s=wait,
        pty=pty,
        insecure=insecure,
    )
