"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="State folder. Default: $GANGLION_HOME, or ~/.local/state/ganglion.",
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", envvar="GANGLION_CONFIG", show_envvar=True,
                 help="Backends and limits. Default: ganglion.toml in the state folder."),
]  # fmt: skip

BrokerOption = Annotated[
    str,
    typer.Option("--broker", metavar="URL", envvar="GANGLION_BROKER", show_envvar=True,
                 help="Your own broker, as mqtts://user:password@host."),
]  # fmt: skip

CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", help="PEM file of the authority that your broker uses."),
]

PortOption = Annotated[
    str,
    typer.Option("--port", metavar="DEVICE", envvar="PORT", show_envvar=True,
                 help="The board's serial port; found by itself where there is only one."),
]  # fmt: skip

InsecureOption = Annotated[
    bool,
    typer.Option("--insecure", envvar="GANGLION_INSECURE", show_envvar=True,
                 help="Plain MQTT on the network is meant: anybody there can read and say all."),
]  # fmt: skip

DeviceOption = Annotated[str, typer.Option("--device", metavar="ID", help="Its name.")]

RenewOption = Annotated[
    bool, typer.Option("--renew", help="Take a new secret; whoever has the old is shut out.")
]
