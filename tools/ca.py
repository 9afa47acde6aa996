"""``ganglion ca``: the private authority that boards trust, and the broker's certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tools.options import HomeOption, JsonOption
from tools.problem import shown
from tools.state import Home

if TYPE_CHECKING:
    from tools.certificates import Authority

app = typer.Typer(
    help="TLS for boards: a private authority, and the broker's certificate.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NamesOption = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="HOST",
                 help="A further name or address of this machine; may be repeated."),
]  # fmt: skip


@app.command("init")
def init_command(name: NamesOption = None, home: HomeOption = None) -> None:
    """Make a private authority (10 years) and the broker's certificate (2 years), both P-256."""
    from tools.certificates import Authority, own_names

    where = Home(home)
    where.create()
    authority = Authority(where.ca)
    authority.make([*own_names(), *(name or [])])
    print(f"authority    {shown(authority.ca_pem)}; its key is beside it: keep both to yourself")
    _show(authority)
    print(f"next: `{where.command('serve')} --lan`, then `make flash` or `ganglion provision`")


@app.command("renew")
def renew_command(name: NamesOption = None, home: HomeOption = None) -> None:
    """A new certificate for the broker, for the names it had and those of today. Boards stay as
    they are. It holds from the next start of serve on."""
    from tools.certificates import Authority, own_names

    authority = Authority(Home(home).ca)
    authority.renew([*own_names(), *(name or [])])
    _show(authority)
    print("`ganglion serve --lan` uses it when it starts again")


@app.command("show")
def show_command(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """For which names the broker's certificate is, and until when."""
    from tools.certificates import Authority
    from tools.render import json_line

    authority = Authority(Home(home).ca)
    if not as_json:
        _show(authority)
        return
    found = authority.certificate()
    until = found.until.isoformat().replace("+00:00", "Z")
    print(json_line({"ca": str(authority.ca_pem), "names": list(found.names), "until": until}))


def _show(authority: Authority) -> None:
    found = authority.certificate()
    left = found.days_left(datetime.now(UTC))
    print(f"certificate  {shown(authority.broker_pem)}, until {found.until:%Y-%m-%d} ({left} days)")
    print(f"             for {', '.join(found.names)}")
