"""``ganglion token``: who else may talk to the companion."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.options import HomeOption, JsonOption
from tools.problem import Usage

if TYPE_CHECKING:
    from tools.client import Client

SCOPES = ("read", "act", "admin")

app = typer.Typer(
    help="Who else may talk to the companion.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    scope: Annotated[
        str,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="read: look; act: also say and do; admin: everything.",
        ),
    ] = "read",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a token for HTTP requests. It is shown once: only its hash is kept."""
    from tools.render import json_line

    if scope not in SCOPES:
        raise Usage(f"--scope is one of {', '.join(SCOPES)}, not {scope!r}")
    made = _client(home).add_token(name, scope)
    print(json_line(made) if as_json else "\n".join(added_lines(made)))


@app.command("list")
def list_(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """All tokens, what each is good for and when it was last used."""
    from tools.render import json_line

    rows = _client(home).tokens()
    print(json_line(rows) if as_json else "\n".join(list_lines(rows)))


@app.command()
def remove(name: Annotated[str, typer.Argument(metavar="NAME")], home: HomeOption = None) -> None:
    """Shut the token NAME out: here at once, at other companions within two seconds."""
    _client(home).remove_token(name)


def _client(home: Path | None) -> Client:
    from tools.client import Client
    from tools.state import Home

    return Client(Home(home).running())


def added_lines(made: dict[str, Any]) -> list[str]:
    """A new token, on a line of its own."""
    from tools.render import clean

    return [
        f"token {clean(made['name'])}, good for {made['scope']}. It is not shown again:",
        str(made["token"]),
    ]


def list_lines(rows: list[dict[str, Any]]) -> list[str]:
    """All tokens as a table."""
    from tools.render import Paint, clean, table

    if not rows:
        return ["no tokens; make one with `ganglion token add NAME --scope act`"]
    head = ["name", "scope", "created", "last used"]
    cells = [
        [clean(r["name"]), r["scope"], _when(r["created"]), _when(r["last_used"])] for r in rows
    ]
    return table(head, cells, Paint())


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
