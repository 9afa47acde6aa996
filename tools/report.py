"""``ganglion report …`` and ``ganglion budget``: what was spent, as table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.options import HomeOption
from tools.problem import Problem, Usage, shown

if TYPE_CHECKING:
    from tools.client import Client

app = typer.Typer(
    help="What was spent, what it would have been elsewhere, and a picture of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Format(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"
    csv = "csv"


_DAY = "2026-11-01, today, or 7d for seven days with today"
SinceOption = Annotated[str, typer.Option("--since", metavar="DAY", help=f"The first day: {_DAY}.")]
UntilOption = Annotated[
    str, typer.Option("--until", metavar="DAY", help="The last day; it is counted, too.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print it.")]


@app.command()
def spend(
    by: Annotated[
        str,
        typer.Option(
            "--by",
            metavar="KEYS",
            help="device, day, tier, backend, or several joined by commas; '' for one sum.",
        ),
    ] = "device",
    since: SinceOption = "30d",
    until: UntilOption = "",
    format: FormatOption = Format.table,
    home: HomeOption = None,
) -> None:
    """What answers came to: how many, tokens, USD, milliseconds, joules."""
    found = _ask(home, "/reports/spend", format, by=by, since=since, until=until)
    if found is not None:
        print("\n".join(spend_lines(found)))


@app.command("what-if")
def what_if(
    since: SinceOption = "30d",
    until: UntilOption = "",
    format: FormatOption = Format.table,
    home: HomeOption = None,
) -> None:
    """The same traffic on each tier and at three prices that everybody knows."""
    found = _ask(home, "/reports/what-if", format, since=since, until=until)
    if found is not None:
        print("\n".join(what_if_lines(found)))


@app.command()
def chart(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where to, as spend.svg or spend.png.")
    ],
    since: SinceOption = "30d",
    until: UntilOption = "today",
    home: HomeOption = None,
) -> None:
    """Draw what each day cost by tier, and the share of asks that were answered."""
    kind = out.suffix.lower()
    if kind not in (".svg", ".png"):
        raise Usage(f"--out {out}: the name says what it becomes; end it in .svg or .png")
    if not out.parent.is_dir():
        raise Problem(f"{shown(out)} cannot be written: there is no folder {shown(out.parent)}")
    picture = _client(home).content(f"/reports/chart{kind}", since=since, until=until)
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise Problem(f"{shown(out)} cannot be written: {error.strerror or error}") from None
    print(f"{shown(out)}: {len(picture):,} bytes")


def budget(format: FormatOption = Format.table, home: HomeOption = None) -> None:
    """Each budget: what it allows, what is spent and reserved, what is left."""
    found = _ask(home, "/budgets", format)
    if found is not None:
        print("\n".join(budget_lines(found)))


def _ask(home: Path | None, path: str, format: Format, **query: str) -> Any:
    """What to make a table of; None where it is printed already."""
    client = _client(home)
    if format is Format.csv:
        # As it comes, line ends of CSV included.
        typer.echo(client.content(path, format="csv", **query), nl=False)
        return None
    found = client.get(path, **query)
    if format is Format.json:
        import json

        print(json.dumps(found, ensure_ascii=False, separators=(",", ":")), flush=True)
        return None
    return found


def _client(home: Path | None) -> Client:
    from tools.client import Client
    from tools.state import Home

    return Client(Home(home).running())


# -- tables


def spend_lines(report: Mapping[str, Any]) -> list[str]:
    """A line a row, all of them together, and what there is to know of them."""
    keys = list(report["by"])
    rows = [*report["rows"], {**dict.fromkeys(keys, ""), **report["total"]}]
    names = [[_name(row[key]) for key in keys] for row in rows[:-1]]
    names.append(["all", *[""] * (len(keys) - 1)] if keys else [])
    if not report["total"]["asks"]:
        return ["Nobody asked anything in this time."]
    usd = _usd([row["usd"] for row in rows])
    cells = [
        [
            *name,
            f"{row['asks']:,}",
            _percent(row["answered_share"]),
            f"{row['tokens_in']:,}",
            f"{row['tokens_out']:,}",
            f"{row['tokens_cached']:,}",
            f"{row['tokens_reasoning']:,}",
            _percent(row["estimated_share"]),
            amount,
            _known(row["p50_ms"]),
            _known(row["p95_ms"]),
            _joules(row["energy_j_measured"]),
            _joules(row["energy_j_estimated"]),
        ]
        for name, row, amount in zip(names, rows, usd, strict=True)
    ]
    head = ["asks", "answered", "in", "out", "cached", "reasoning", "guessed", "USD", "p50 ms"]
    head += ["p95 ms", "J measured", "J estimated"]
    return [*_table([*keys, *head], cells, left=len(keys)), *report["notes"]]


def what_if_lines(result: Mapping[str, Any]) -> list[str]:
    """A line a scenario, after what was in truth; then what all of it assumes."""
    if not result["asks"]:
        return ["Nobody asked anything in this time."]
    scenarios = result["scenarios"]
    usd = _usd([result["usd"], *(scenario["usd"] for scenario in scenarios)])
    cells = [["as it was", "", _percent(result["answered_share"]), usd[0], "", ""]]
    cells += [
        [
            f"all {s['name']}" if s["name"] in ("edge", "commodity", "premium") else s["name"],
            "" if s["at"] == s["name"] else _name(s["at"], "free"),
            _percent(s["answered_share"]),
            amount,
            f"{s['input_usd_per_m']:g}",
            f"{s['output_usd_per_m']:g}",
        ]
        for s, amount in zip(scenarios, usd[1:], strict=True)
    ]
    head = ["where", "prices of", "answered", "USD", "USD/M in", "USD/M out"]
    return [*_table(head, cells, left=2), *result["notes"]]


def budget_lines(budgets: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a limit."""
    if not budgets:
        return ["There are no budgets. They are [[budget]] in ganglion.toml: docs/spending.md."]
    cells = []
    for entry in budgets:
        who = " ".join(_name(entry[key]) for key in ("scope", "name") if entry[key])
        # As the clocks of the house show it then.
        until = str(entry["until"])[:16].replace("T", " ")
        for unit in ("usd", "tokens"):
            limit = entry[unit]
            if limit is None:
                continue
            amounts = [limit[name] for name in ("cap", "spent", "reserved", "left")]
            told = _usd(amounts) if unit == "usd" else [f"{amount:,}" for amount in amounts]
            cells.append([who, entry["window"], unit.replace("usd", "USD"), *told, until])
    head = ["who", "per", "in", "cap", "spent", "reserved", "left", "until"]
    return _table(head, cells, left=3)


def _table(head: list[str], rows: list[list[str]], left: int) -> list[str]:
    """All but the first ``left`` columns stand right: they are numbers."""
    from tools.render import Paint, table

    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]

    def aligned(row: list[str]) -> list[str]:
        return [c if n < left else c.rjust(widths[n]) for n, c in enumerate(row)]

    return table(aligned(head), [aligned(row) for row in rows], Paint())


def _name(value: str, nothing: str = "(nobody)") -> str:
    from tools.render import clean

    return clean(value) or nothing


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _known(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _joules(value: float) -> str:
    return "-" if not value else f"{value:,.1f}"


def _usd(values: Sequence[float]) -> list[str]:
    """As many digits for all as the largest needs to say something."""
    most = max(values, default=0.0)
    digits = 2 if most >= 100 else 4 if most >= 0.01 or not most else 7
    return [f"{value:,.{digits}f}" for value in values]
