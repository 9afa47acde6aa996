"""``ganglion backends``: who can answer, and whether one of them works.

`tools/backends.py` does it; it imports the companion, so it is loaded when a command runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from tools.options import ConfigOption, HomeOption, JsonOption
from tools.problem import FAILED

app = typer.Typer(
    help="Who can answer: providers, models, prices; and whether one of them works.",
    no_args_is_help=True,
)


@app.command("list")
def backends_list(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """The providers that are known: models, USD per million tokens, what they do with prompts.

    Your own: a TOML file each in the folder profiles/ of the state folder (docs/backends.md).
    """
    from datetime import date

    from tools import backends
    from tools.render import json_line
    from tools.state import Home

    rows = backends.listed(Home(home), date.today())
    print(json_line(rows) if as_json else "\n".join(backends.lines(rows)))


@app.command("check")
def backends_check(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    model: Annotated[
        str, typer.Option("--model", metavar="ID", help="Instead of the one that is configured.")
    ] = "",
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Make a few short, real calls to NAME and print what worked. They cost what they cost.

    NAME is a backend of ganglion.toml, or a provider whose key is in the environment.
    """
    from datetime import date

    from tools import backends
    from tools.state import Home

    if not backends.run_check(Home(home), name, model, config, date.today()):
        raise typer.Exit(FAILED)
