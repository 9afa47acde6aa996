"""``ganglion …``: the commands. Each imports what it needs when it runs, so that all start fast.

Exit status: 0 done and answered, 1 not answered or failed, 2 the command line is wrong. No
traceback reaches a user, except with ``--debug`` or ``GANGLION_DEBUG=1``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tools import backend_commands, board_commands, change, report, tokens
from tools import ca as authority
from tools import config as configuration
from tools.options import (
    BrokerOption,
    CaOption,
    ConfigOption,
    HomeOption,
    InsecureOption,
    JsonOption,
    RenewOption,
)
from tools.problem import FAILED, Problem, Usage

app = typer.Typer(
    help="The agent on a $5 ESP32, and the companion that picks who answers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

PolicyOption = Annotated[
    str,
    typer.Option("--policy", metavar="POLICY",
                 help="For this request: auto, cheapest, fastest, private or best."),
]  # fmt: skip


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and more of the log.")] = (
        False
    ),
) -> None:
    if debug:
        os.environ["GANGLION_DEBUG"] = "1"


@app.command()
def serve(
    broker: BrokerOption = "",
    ca: CaOption = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="Port of the embedded broker; 0: the last one, or a free one.",
        ),
    ] = 0,
    lan: Annotated[
        bool,
        typer.Option("--lan", help="The embedded broker listens on the network, too, with TLS."),
    ] = False,
    lan_port: Annotated[
        int,
        typer.Option("--lan-port", metavar="N", min=0, max=65535,
                     help="Port of --lan. Default: 8883, or 1883 with --insecure."),
    ] = 0,
    lan_host: Annotated[
        str,
        typer.Option("--lan-host", metavar="HOST",
                     help="How boards are to call this machine. Default: its address."),
    ] = "",
    insecure: InsecureOption = False,
    http_port: Annotated[
        int,
        typer.Option(
            "--http-port",
            metavar="N",
            min=0,
            max=65535,
            help="Port of the HTTP interface; 0: a free one.",
        ),
    ] = 0,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:  # fmt: skip
    """Run the companion, with a broker of its own unless you name one."""
    from tools import service
    from tools.state import Home

    if broker and port:
        raise Usage("--port is the embedded broker's; with --broker the URL says the port")
    service.serve(
        service.Options(
            home=Home(home),
            broker=broker,
            ca=ca,
            port=port,
            lan=lan,
            lan_port=lan_port,
            lan_host=lan_host,
            insecure=insecure,
            http_port=http_port,
            config=config,
        )
    )


# Commands with a module of their own, a line each; what has subcommands stands at the end.
app.command()(board_commands.flash)
app.command()(board_commands.provision)
app.command()(board_commands.update)
app.command()(board_commands.board)


@app.command()
def devices(as_json: JsonOption = False, home: HomeOption = None) -> None:
    """List the devices that the companion knows."""
    from tools.render import Paint, table
    from tools.state import Home

    found = _client(home).devices()
    if as_json:
        _print_json(found)
        return
    if not found:
        start = Home(home).command("board")
        print(f"no device has been heard of yet. Start a virtual one with `{start}`.")
        return
    head = ["device", "name", "online", "board", "firmware", "boot", "heap", "clock", "points"]
    rows = [[_cell(row, column) for column in head] for row in found]
    print("\n".join(table(head, rows, Paint())))


@app.command()
def sender(
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "",
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="ID",
                     help="Only to this device; may be repeated. Default: to any."),
    ] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="EVENT",
                     help="Only this event; may be repeated. Default: any."),
    ] = None,
    renew: RenewOption = False,
    remove: Annotated[bool, typer.Option("--remove", help="Shut NAME out.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:  # fmt: skip
    """A login for whoever tells devices of events, as home automation; without NAME, list them.

    Rules act on events: docs/automation.md. A sender may write these topics and nothing else.
    """
    client = _client(home)
    if not name:
        if device or event or renew or remove:
            raise Usage("say whose login: ganglion sender NAME")
        found = client.senders()
        if as_json:
            _print_json(found)
        for row in () if as_json else found:
            print(f"{row['sender']}: {', '.join(row['topics'])}")
        return
    if remove:
        client.remove_sender(name)
        return
    made = client.add_sender(name, device or [], event or [], renew=renew)
    if as_json:
        _print_json(made)
        return
    print(f"broker  {made['broker']['host']}:{made['broker']['port']}")
    print(f"user    {made['user']}\nsecret  {made['secret']}")
    for topic in made["topics"]:
        print(f"topic   {topic}")


@app.command()
def say(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    text: Annotated[list[str], typer.Argument(metavar="TEXT")],
    speaker: Annotated[
        str, typer.Option("--from", metavar="NAME", help="Whose conversation this joins.")
    ] = "",
    policy: PolicyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Say TEXT to DEVICE and show what came of it."""
    from tools.client import check_text
    from tools.render import Paint, turn_lines

    sentence = " ".join(text)
    check_text(sentence)
    if len(speaker.encode()) > 32:
        raise Usage("--from takes 32 bytes at most")
    turn = _client(home).say(device, sentence, speaker, _policy(policy))
    if as_json:
        _print_json(turn)
    else:
        print("\n".join(turn_lines(turn, Paint())))
    if not turn.get("answered"):
        raise typer.Exit(FAILED)


@app.command()
def explain(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    text: Annotated[list[str], typer.Argument(metavar="TEXT")],
    policy: PolicyOption = "",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show who would be asked for TEXT, in which order, and why. Nothing is asked or done."""
    from tools.render import Paint, plan_lines

    plan = _client(home).explain(device, " ".join(text), _policy(policy))
    if as_json:
        _print_json(plan)
    else:
        print("\n".join(plan_lines(plan, Paint())))


@app.command()
def do(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    tool: Annotated[str, typer.Argument(metavar="TOOL")],
    arguments: Annotated[str, typer.Argument(metavar="[JSON]")] = "{}",
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Run one TOOL on DEVICE with JSON arguments, no model.

    For example: ganglion do kitchen gpio_read '{"pin": 5}'
    """
    from tools.render import Paint, call_line

    args = _object(arguments)
    result = _client(home).do(device, tool, args)
    receipt = result.get("receipt")
    if as_json:
        _print_json(result)
    else:
        print(call_line({"tool": tool, "args": args, "receipt": receipt}, Paint()).strip())
    if not isinstance(receipt, dict) or "err" in receipt:
        raise typer.Exit(FAILED)


@app.command()
def demo(
    sentences: Annotated[
        str, typer.Option("--say", metavar="TEXT", envvar="SAY", show_envvar=True,
                          help="Sentences to run instead of a chat, separated by ';'."),
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a sentence. [env var: JSON=1]")
    ] = False,
    broker: BrokerOption = "",
    ca: CaOption = None,
    device: Annotated[
        str, typer.Option("--device", metavar="ID", help="The board's name. Default: demo.")
    ] = "",
    config: ConfigOption = None,
) -> None:  # fmt: skip
    """Broker, companion and a virtual board in one go, then a chat. Leaves nothing behind."""
    from tools import demo as demos

    wants_json = as_json or os.environ.get("JSON", "") not in ("", "0")
    options = demos.Options(
        say=sentences, json=wants_json, broker=broker, ca=ca, device=device, config=config
    )
    raise typer.Exit(demos.run(options))


app.command()(report.budget)
app.command()(change.change)

app.add_typer(backend_commands.app, name="backends")
app.add_typer(report.app, name="report")
app.add_typer(configuration.app, name="config")
app.add_typer(tokens.app, name="token")
app.add_typer(authority.app, name="ca")


def _policy(name: str) -> str:
    if name not in ("", "auto", "cheapest", "fastest", "private", "best"):
        raise Usage("--policy takes auto, cheapest, fastest, private or best")
    return name


def _client(home: Path | None) -> Any:
    from tools.client import Client
    from tools.state import Home

    return Client(Home(home).running())


def _object(text: str) -> dict[str, Any]:
    """A JSON object from the command line, or Usage that points at the place."""
    import json

    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Usage(
            f"the arguments are not JSON: {error.msg} at character {error.pos + 1}\n"
            f"  {text}\n  {' ' * error.pos}^\n"
            """Quote them for the shell, as '{"pin": 5, "value": 1}'."""
        ) from None
    except RecursionError:
        raise Usage("the arguments are nested too deeply") from None
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
        raise Usage(
            f"the arguments are {kind.get(type(value), 'a number')}, not an object. "
            """Write them as '{"pin": 5, "value": 1}'."""
        )
    return value


def _print_json(value: object) -> None:
    from tools.render import json_line

    print(json_line(value), flush=True)


def _cell(row: Mapping[str, Any], column: str) -> str:
    from tools.render import clean

    value = row.get("fw" if column == "firmware" else column)
    if column in ("online", "clock"):
        return "-" if value is None else "yes" if value else "no"
    if column == "boot" and row.get("safe"):
        return f"{value} SAFE"
    if column == "points" and isinstance(value, dict):
        levels = {0: "off", 1: "on"}
        shown = (f"{name}={levels.get(p.get('level'), '?')}" for name, p in value.items())
        return clean(", ".join(shown)) or "-"
    return "-" if value is None else clean(str(value))


def main() -> None:
    """The console script."""
    status: int
    try:
        app()
        status = 0
    except SystemExit as ended:  # typer ends with this, with 2 for wrong usage
        status = ended.code if isinstance(ended.code, int) else FAILED
    except Problem as problem:
        if os.environ.get("GANGLION_DEBUG"):
            raise
        print(f"error: {problem}", file=sys.stderr)
        status = problem.exit_code
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # `ganglion devices | head`: not worth a word. Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = FAILED
    except Exception as error:
        if os.environ.get("GANGLION_DEBUG"):
            raise
        print(
            f"error: this should not happen: {type(error).__name__}: {error}\n"
            "Run it again with GANGLION_DEBUG=1 to see where, and please report it.",
            file=sys.stderr,
        )
        status = FAILED
    sys.exit(status)


if __name__ == "__main__":
    main()
