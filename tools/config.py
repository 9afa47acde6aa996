"""``ganglion config``: what the configuration says, and whether it can be used."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.options import ConfigOption, HomeOption, JsonOption
from tools.problem import Problem, shown
from tools.state import Home

if TYPE_CHECKING:
    from companion.backends.base import Card
    from companion.backends.make import Parts
    from companion.config import BackendConfig, Config, Reading
    from companion.meter.purse import Cap

_SECRET = re.compile(r"(?i)key|token|secret|password|authorization")


app = typer.Typer(help="What ganglion.toml says.", no_args_is_help=True, rich_markup_mode=None)


@app.command("check")
def check_command(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]")] = None,
    config: ConfigOption = None,
    home: HomeOption = None,
) -> None:
    """Whether FILE can be used, and what would run: who answers, with which key, on what budget.

    Every error is told at once, with its line; exit status 1. Default: the file that serve reads.
    """
    print("\n".join(check(Home(home), file or config)))


@app.command("show")
def show_command(
    as_json: JsonOption = False, config: ConfigOption = None, home: HomeOption = None
) -> None:
    """Every setting in force as TOML: file, defaults and GANGLION_… variables. No secrets."""
    from tools.render import json_line

    settings = show(Home(home), config)
    print(json_line(settings) if as_json else "\n".join(toml_lines(settings)))


_MISSING = "MISSING, and serve will not start without it"


def file_of(home: Home, option: Path | None) -> Path:
    """The file that holds: that of ``--config``, or the state folder's, which need not be there."""
    return option or home.config


def read_config(path: Path, home: Home, *, keys: bool = False) -> Reading:
    """Read a configuration with the overrides of the environment. Without the file of the state
    folder all is as by default. ``keys``: look whether they are there, too. Raises ConfigError."""
    from companion.backends.profile import ProfileError, Shelf
    from companion.config import ConfigError, read, read_key

    absent = path == home.config and not path.exists()
    try:
        reading = read(None if absent else path, os.environ, Shelf(folder_of(home)))
    except ProfileError as error:
        raise ConfigError(str(error)) from None
    if keys:
        from companion.backends.make import complete

        for backend in reading.config.backends:
            read_key(complete(backend, folder_of(home)))
    return replace(reading, config=replace(reading.config, profiles=folder_of(home)))


def folder_of(home: Home) -> Path:
    """Where the user's own profiles of providers lie."""
    return home.folder / "profiles"


# -- check


def check(home: Home, option: Path | None) -> list[str]:
    """What would run, in lines for people. Problem, with every error, where nothing would."""
    from companion.backends.make import complete, plan
    from companion.config import ConfigError

    path = file_of(home, option)
    try:
        reading = read_config(path, home)
    except ConfigError as error:
        raise Problem(str(error)) from None
    told = shown(path) if path.exists() else f"no file ({shown(path)} is not there)"
    lines = [f"{told}: it can be used"]
    lines += [f"warning: {warning}" for warning in reading.warnings]
    errors, missing, cards = [], [], []
    backends = [["commands", "edge", "-", "in this process", "-"]]
    for index, backend in enumerate(reading.config.backends):
        try:
            parts = plan(backend, folder=folder_of(home), today=date.today())
            key, lack = _key_text(complete(backend, folder_of(home)))
            backends.append(_backend_row(backend, parts, key))
            cards.append(parts.card)
            missing += [f"serve will not start: {lack}"] if lack else []
        except ConfigError as error:
            line = reading.lines.get(("backend", index))
            errors.append(f"{path}, line {line}: {error}" if line else f"{path}: {error}")
    if errors:
        raise Problem("\n".join(errors))
    from tools.render import Paint, table

    lines += ["", *table(["backend", "tier", "model", "where", "key"], backends, Paint()), ""]
    lines += [*missing, ""] if missing else []
    lines += _router_lines(reading.config)
    budgets = [_cap_text(cap) for cap in reading.config.caps] or ["none"]
    lines += [f"budget   {budget}" for budget in budgets]
    tight = [line for cap in reading.config.caps for line in _tight_lines(cap, cards)]
    return [*lines, "", *tight] if tight else lines


def _backend_row(backend: BackendConfig, parts: Parts, key: str) -> list[str]:
    where = parts.url or parts.kind
    house = " (in the house)" if parts.card.local else ""
    if parts.kind == "llama":
        where = str(backend.path)
        house = "" if backend.path and backend.path.is_file() else f": {_MISSING}"
    return [parts.card.name, parts.card.tier, parts.card.model or "-", where + house, key]


def _key_text(backend: BackendConfig) -> tuple[str, str]:
    """Where a key is from and whether it is there; and what to do where it is not."""
    from companion.config import ConfigError, read_key
    from companion.config.keys import exposed

    source = (
        (backend.key_env and f"${backend.key_env}")
        or (backend.key_file and shown(backend.key_file))
        or (backend.key_keyring and f"keyring {backend.key_keyring}")
    )
    if not source:
        return "none", ""
    try:
        read_key(backend)
    except ConfigError as error:
        return f"{source}: {_MISSING}", str(error)
    if backend.key_file and exposed(backend.key_file):
        return f"{source}: found, but others can read it; chmod 600", ""
    return f"{source}: found", ""


def _router_lines(config: Config) -> Iterator[str]:
    router = config.router
    order = f": {', '.join(router.order)}" if router.order else ""
    yield f"policy   {router.policy}{order}"
    for rule in router.rules:
        whom = ", ".join((*rule.devices, *(f"group {g}" for g in rule.groups))) or "all"
        hours = ""
        if rule.begins is not None and rule.ends is not None:
            hours = f" from {_clock(rule.begins)} to {_clock(rule.ends)}"
        says = [f"policy {rule.policy}"] if rule.policy else []
        if rule.allow is not None:
            says.append(f"only {', '.join(rule.allow) or 'nobody'}")
        says += [f"not {', '.join(rule.deny)}"] if rule.deny else []
        yield f"rule     {whom}{hours}: {'; '.join(says)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _cap_text(cap: Cap) -> str:
    from companion.meter import usd

    most = [] if cap.nano is None else [f"{usd(cap.nano):g} USD"]
    most += [] if cap.tokens is None else [f"{cap.tokens} tokens"]
    whom = {"house": "the house", "group": f"group {cap.name}"}.get(
        cap.scope, cap.name or "each device"
    )
    return f"{' and '.join(most)} per {cap.window} for {whom}"


def _tight_lines(cap: Cap, cards: Sequence[Card]) -> Iterator[str]:
    """A warning where nobody would ever be asked, whatever is left of a budget."""
    from companion.meter import usd
    from companion.router.explain import TYPICAL_PROMPT, too_small

    tight = too_small(cap, cards)
    if not tight:
        return
    names = ", ".join(tight)
    nano = max(most.nano for most in tight.values())
    tokens = max(most.tokens for most in tight.values())
    enough = []
    if cap.nano is not None and cap.nano < nano:
        # Up to a hundredth: what is printed is enough.
        enough.append(f"usd = {math.ceil(usd(nano) * 100) / 100:g}")
    if cap.tokens is not None and cap.tokens < tokens:
        enough.append(f"tokens = {math.ceil(tokens / 1000) * 1000}")
    yield (
        f"warning: {_cap_text(cap)} never lets {names} answer with all tools of a board: a prompt "
        f"of {TYPICAL_PROMPT.bytes:,} bytes is reserved at a token a byte (docs/spending.md, At "
        f"the cap). Enough for one answer at a time: {' and '.join(enough)}"
    )


# -- show


def show(home: Home, option: Path | None) -> dict[str, Any]:
    """Every setting in force, defaults and overrides included, as the file would say it. Secrets
    are masked. Problem where it cannot be read."""
    from companion.config import ConfigError

    try:
        config = read_config(file_of(home, option), home).config
    except ConfigError as error:
        raise Problem(str(error)) from None
    router = _plain(config.router)
    rules = [_rule(rule) for rule in router.pop("rules", ())]
    settings = {
        "timezone": config.timezone,
        "broker": _plain(config.broker),
        "http": _plain(config.http),
        "limits": _plain(config.limits),
        "store": _plain(config.store) if config.store else {},
        "log": _plain(config.log),
        "energy": _plain(config.energy),
        "telemetry": {"otlp_url": config.otlp_url} if config.otlp_url else {},
        "groups": {name: list(devices) for name, devices in config.groups.items()},
        "router": {**router, **({"rule": rules} if rules else {})},
        "backend": [_backend(backend) for backend in config.backends],
        "budget": [_cap(cap) for cap in config.caps],
    }
    return {name: part for name, part in settings.items() if part}


def _plain(part: Any) -> dict[str, Any]:
    """The fields of a dataclass that say something, with values that TOML and JSON have."""
    found = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if value is None or value in ((), {}):
            continue
        found[field.name] = _value(field.name, value)
    return found


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: "***" if _SECRET.search(k) else _value(k, v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [v if dataclasses.is_dataclass(v) else _value(name, v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return re.sub(r"(?<=://)([^\s/@:]*):[^\s/@]*(?=@)", r"\1:***", value)
    return value


def _rule(rule: Any) -> dict[str, Any]:
    found = _plain(rule)
    for name, key in (("begins", "from"), ("ends", "to")):
        if name in found:
            found[key] = _clock(found.pop(name))
    return found


def _backend(backend: BackendConfig) -> dict[str, Any]:
    found = _plain(backend)
    if backend.prices is None:
        return found
    prices, mega, nano = found.pop("prices"), 1e6, 1e9
    found["input_usd_per_mtok"] = prices.input / mega
    found["output_usd_per_mtok"] = prices.output / mega
    found["cached_usd_per_mtok"] = prices.cached / mega
    if prices.cache_written >= 0:
        found["cache_written_usd_per_mtok"] = prices.cache_written / mega
    found["request_usd"] = prices.request_nano / nano
    found["hour_usd"] = prices.hour_nano / nano
    return found


def _cap(cap: Cap) -> dict[str, Any]:
    found = _plain(cap)
    found["per"] = found.pop("window")
    if "nano" in found:
        found["usd"] = found.pop("nano") / 1e9
    return {key: value for key, value in found.items() if value != ""}


def toml_lines(settings: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Settings as TOML."""
    tables = {k: v for k, v in settings.items() if _is_table(v)}
    for key, value in settings.items():
        if key not in tables:
            yield f"{_key(key)} = {_toml(value)}"
    for key, value in tables.items():
        at = f"{path}.{_key(key)}" if path else _key(key)
        for item in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{at}]]" if isinstance(value, list) else f"[{at}]"
            yield from toml_lines(item, at)


def _is_table(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, Mapping) for item in value)
    return isinstance(value, Mapping) and bool(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


def _toml(value: object) -> str:
    import json

    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str | bool | int | float):
        # A JSON string is a TOML basic string, but for DEL, which no setting has.
        return json.dumps(value, ensure_ascii=False)
    return str(value)
