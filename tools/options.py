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
