"""Settings from environment variables, laid over those of the file.

``GANGLION_`` and the path of the setting, joined by two underscores, in upper case:
``GANGLION_ROUTER__POLICY``, ``GANGLION_STORE__URL``, ``GANGLION_BACKEND__CHEAP__MODEL``. A
backend is addressed by its name, with whatever is no letter or digit as one underscore. Other
lists of tables have no names and are changed in the file.

A variable without two underscores is no override but ``GANGLION_TIMEZONE``, the one setting that
stands in no table: ``GANGLION_HOME`` and its like are the program's own.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from companion.config.lines import KeyPath

PREFIX: Final = "GANGLION_"
_ALONE: Final = "TIMEZONE"


@dataclass(frozen=True, slots=True)
class Override:
    """What a variable says, until it is known what is wanted there."""

    variable: str
    text: str

    def value(self, wanted: type) -> Any:
        """As TOML where it is TOML, else as it stands. Where a string is wanted 7 is "7"."""
        try:
            parsed = tomllib.loads(f"v = {self.text}")
        except tomllib.TOMLDecodeError:
            return self.text
        if parsed.keys() != {"v"} or (wanted is str and not isinstance(parsed["v"], str)):
            return self.text
        return parsed["v"]


def overrides(environ: Mapping[str, str]) -> list[Override]:
    """The variables that mean a setting, in the order of their names."""
    return [
        Override(name, environ[name])
        for name in sorted(environ)
        if name.startswith(PREFIX)
        and ("__" in name.removeprefix(PREFIX) or name == PREFIX + _ALONE)
    ]


def lay_over(data: dict[str, Any], override: Override) -> KeyPath:
    """Put an override into what the file says. Returns where it went. Raises ValueError, whose
    text says why it goes nowhere."""
    parts = override.variable.removeprefix(PREFIX).split("__")
    if "" in parts:
        raise ValueError("its parts are joined by exactly two underscores, GANGLION_ROUTER__POLICY")
    if parts[0] == "BUDGET" or parts[:2] == ["ROUTER", "RULE"]:
        raise ValueError("budgets and rules have no names of their own; change them in the file")
    path: list[str | int] = []
    table = data
    if parts[0] == "BACKEND":
        index, table = _backend(data.get("backend"), parts)
        path, parts = ["backend", index], parts[2:]
    for part in parts[:-1]:
        key = _known(table, part)
        path.append(key)
        below = table.setdefault(key, {})
        if not isinstance(below, dict):
            raise ValueError(f"{'.'.join(map(str, path))} is no table")
        table = below
    key = _known(table, parts[-1])
    table[key] = override
    return (*path, key)


def _backend(tables: object, parts: list[str]) -> tuple[int, dict[str, Any]]:
    """The entry that ``BACKEND``, name, setting mean."""
    entries = [t for t in tables if isinstance(t, dict)] if isinstance(tables, list) else []
    names = [str(t.get("name", t.get("profile", ""))) for t in entries]
    if len(parts) < 3:
        raise ValueError("name and setting follow, as in GANGLION_BACKEND__CHEAP__MODEL")
    found = [i for i, name in enumerate(names) if _upper(name) == parts[1]]
    if not found:
        known = ", ".join(_upper(name) for name in names) or "none"
        raise ValueError(f"there is no backend {parts[1]}; those of the file are: {known}")
    if len(found) > 1:
        raise ValueError(f"{parts[1]} means {' and '.join(names[i] for i in found)}; rename one")
    return found[0], entries[found[0]]


def _known(table: Mapping[str, Any], part: str) -> str:
    """The key of a table that is spelt so in a variable; a new one in lower case."""
    return next((key for key in table if _upper(key) == part), part.lower())


def _upper(name: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", name.upper())
