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
