"""``ganglion backends``: what providers are known, and whether one of them really works."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from companion.backends import profile
from companion.backends.check import Finding, check
from companion.backends.make import complete
from companion.config import BackendConfig, ConfigError, load, read_key
from companion.meter.book import prices_of
from tools.problem import Problem
from tools.render import Paint, clean, table
from tools.state import Home

_HEAD = ("profile", "model", "tier", "in", "out", "context", "tools", "data", "checked")


def listed(home: Home, today: date) -> list[dict[str, Any]]:
    """A row a model of each profile; prices are USD per million tokens. Raises Problem."""
    folder = home.folder / "profiles"
    rows = []
    try:
        for name in profile.names(folder):
            rows += _rows(profile.load(name, folder), today)
    except profile.ProfileError as error:
        raise Problem(str(error)) from None
    return rows


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The same as a table for people."""
    body = [[_cell(row, column) for column in _HEAD] for row in rows]
    # What is the provider's stands once, as in a heading.
    for above, row in reversed(list(itertools.pairwise(body))):
        if above[0] == row[0]:
            row[0] = row[-2] = row[-1] = ""
    return [line.rstrip() for line in table(list(_HEAD), body, Paint())]


def run_check(home: Home, name: str, model: str, config: Path | None, today: date) -> bool:
    """Print what works of a configured backend, or of a profile with its key in the environment;
    whether all does. Raises Problem."""
    folder = home.folder / "profiles"
    try:
        backend = complete(_named(home, name, model, config), folder)
        return asyncio.run(_print(backend, read_key(backend), folder, today))
    except ConfigError as error:
        raise Problem(str(error)) from None


async def _print(backend: BackendConfig, key: str | None, folder: Path, today: date) -> bool:
    paint = Paint()
    fine = True
    async for finding in check(backend, key, folder=folder, today=today):
        print(_line(finding, paint), flush=True)
        fine &= finding.ok is not False
    return fine


def _line(finding: Finding, paint: Paint) -> str:
    mark, style = paint.sign("·", "-"), "dim"
    if finding.ok is not None:
        mark = paint.sign("✓", "ok") if finding.ok else paint.sign("✗", "FAILED")
        style = "green" if finding.ok else "red"
    line = f"{paint(mark, style)} {finding.what}: {clean(finding.detail)}"
    return f"{line}\n    {finding.cure}" if finding.cure else line


def _named(home: Home, name: str, model: str, config: Path | None) -> BackendConfig:
    path = config or home.config
    profiles = profile.Shelf(home.folder / "profiles")
    known: dict[str, BackendConfig] = {}
    if config is not None or path.exists():
        known = {b.name: b for b in load(path, os.environ, profiles).backends}
    if name in known:
        found = known[name]
    elif name in profiles:
        found = BackendConfig(name, profile=name)
    else:
        configured = f"backends of {path.name}: {', '.join(known)}; " if known else ""
        raise Problem(f"there is no {name!r}; {configured}profiles: {', '.join(profiles)}")
    return dataclasses.replace(found, model=model) if model else found


def _rows(found: profile.Profile, today: date) -> list[dict[str, Any]]:
    rows = []
    for model in found.models:
        prices = None
        if not (found.local or found.free):
            prices = prices_of(found.name, model.id, today, model.dated, found.prices_from)
        rows.append(
            {
                "profile": found.name,
                "title": found.title,
                "model": model.id,
                "tier": model.tier,
                "free": found.local or found.free,
                "in": None if prices is None else prices.input / 1_000_000,
                "out": None if prices is None else prices.output / 1_000_000,
                "prices": "" if prices is None else prices.version,
                "context": model.context_tokens or None,
                "tools": model.tools,
                "local": found.local,
                "keeps_prompts": found.keeps_prompts,
                "region": found.region,
                "data": found.policy,
                "checked": found.checked,
                "unconfirmed": [*found.unconfirmed, *model.unconfirmed],
                "sources": [*dict.fromkeys((*found.sources.values(), model.source)).keys() - {""}],
            }
        )
    return rows


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if column in ("in", "out"):
        return "free" if row["free"] else "?" if value is None else f"{value:g}"
    if column == "tools":
        return ("yes" if value else "no") + ("?" if "tools" in row["unconfirmed"] else "")
    if column == "model" and value == profile.ANY:
        return "any"
    return "-" if value in (None, "") else clean(str(value))
