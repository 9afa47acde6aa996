"""``ganglion.toml`` → frozen dataclasses, or an error that says where and what is allowed.

A key that is not known is an error: a misspelt ``modell`` must not be silently nothing.
"""

import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from companion.config.model import (
    BackendConfig,
    BrokerConfig,
    Config,
    ConfigError,
    HttpConfig,
    LimitsConfig,
    RouterConfig,
)
from companion.link import BrokerUrl
from companion.meter import Prices, Tier

TIERS: Final = ("edge", "commodity", "premium")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def load(path: Path) -> Config:
    """Read a file. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: it cannot be read ({error})") from None
    return parse(text, str(path), path.parent)


def parse(text: str, origin: str = "ganglion.toml", base: Path | None = None) -> Config:
    """Parse TOML. ``origin`` names it in errors; relative paths in it start at ``base``. Raises
    ConfigError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None
    try:
        return _config(_Table(data, "", base or Path()))
    except _Wrong as wrong:
        line = _line_of(text, wrong.key)
        where = f"{origin}, line {line}" if line else origin
        raise ConfigError(f"{where}: {wrong}") from None


class _Wrong(Exception):
    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


T = TypeVar("T")


class _Table:
    """One TOML table; remembers which keys were asked for, so that the rest are errors."""

    def __init__(self, data: Mapping[str, Any], at: str, base: Path) -> None:
        self._data = data
        self._at = at
        self._base = base
        self._asked: list[str] = []

    def key(self, name: str) -> str:
        return f"{self._at}.{name}" if self._at else name

    def has(self, name: str) -> bool:
        return name in self._data

    def get(self, name: str, kind: type[T], default: T | None) -> T:
        """A value of that type. Without a default it must be there."""
        self._asked.append(name)
        if name not in self._data:
            if default is None:
                raise _Wrong(self.key(name), f"it is missing; {_KINDS[kind]} is needed")
            return default
        value = self._data[name]
        # A TOML integer is a fine float; a boolean is no integer.
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return cast(T, float(value))
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _Wrong(self.key(name), f"{_KINDS[kind]} is needed, not {value!r:.60}")
        return value

    def optional(self, name: str, kind: type[T]) -> T | None:
        self._asked.append(name)
        return self.get(name, kind, None) if name in self._data else None

    def number(self, name: str, kind: type[T], default: T | None, least: float, most: float) -> T:
        value = self.get(name, kind, default)
        if not least <= cast(float, value) <= most or math.isnan(cast(float, value)):
            raise _Wrong(self.key(name), f"from {least:g} to {most:g} is allowed, not {value}")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str | None) -> str:
        value = self.get(name, str, default)
        if value not in allowed:
            raise _Wrong(self.key(name), f"one of {', '.join(allowed)} is allowed, not {value!r}")
        return value

    def path(self, name: str) -> Path | None:
        value = self.optional(name, str)
        return None if value is None else self._base / Path(value).expanduser()

    def table(self, name: str) -> "_Table":
        return _Table(self.get(name, dict, {}), self.key(name), self._base)

    def tables(self, name: str) -> list["_Table"]:
        items = self.get(name, list, [])
        for item in items:
            if not isinstance(item, dict):
                raise _Wrong(self.key(name), f"write it as [[{self.key(name)}]]")
        return [_Table(d, f"{self.key(name)}[{i + 1}]", self._base) for i, d in enumerate(items)]

    def done(self) -> None:
        for name in self._data:
            if name not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise _Wrong(self.key(name), f"it is not known here; known are: {known}")


_KINDS: Final[Mapping[type, str]] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def _config(top: _Table) -> Config:
    broker = _broker(top.table("broker"))
    http = _http(top.table("http"))
    backends = tuple(_backend(t) for t in top.tables("backend"))
    names = ["commands", *(b.name for b in backends)]
    for name in names:
        if names.count(name) > 1:
            raise _Wrong("backend.name", f"two backends are called {name!r}")
    order = _order(top.table("router"), names)
    limits = _limits(top.table("limits"))
    top.done()
    return Config(broker, http, backends, RouterConfig(order=order), limits=limits)


_BROKER: Final = BrokerConfig()
_HTTP: Final = HttpConfig()


def _broker(table: _Table) -> BrokerConfig:
    config = BrokerConfig(
        url=table.get("url", str, _BROKER.url),
        ca=table.path("ca"),
        client_id=table.optional("client_id", str),
    )
    try:
        BrokerUrl.parse(config.url)
    except ValueError as error:
        raise _Wrong(table.key("url"), str(error)) from None
    table.done()
    return config


def _http(table: _Table) -> HttpConfig:
    config = HttpConfig(
        host=table.get("host", str, _HTTP.host),
        port=table.number("port", int, _HTTP.port, 0, 65535),
    )
    table.done()
    return config


def _backend(table: _Table) -> BackendConfig:
    table.choice("kind", ("openai",), None)
    name = table.get("name", str, None)
    if not _NAME.fullmatch(name):
        raise _Wrong(
            table.key("name"), "1 to 32 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
        )
    url = table.get("url", str, None)
    if not re.match(r"https?://[^/\s]+", url):
        raise _Wrong(table.key("url"), "it starts with http:// or https:// and names a host")
    config = BackendConfig(
        name=name,
        url=url,
        model=table.get("model", str, None),
        tier=cast(Tier, table.choice("tier", TIERS, "commodity")),
        key_env=table.optional("key_env", str),
        key_file=table.path("key_file"),
        prices=_prices(table),
        timeout_s=table.number("timeout_s", float, 60.0, 0.1, 600),
        extra=table.get("extra", dict, {}),
    )
    if config.key_env and config.key_file:
        raise _Wrong(table.key("key_file"), "give key_env or key_file, not both")
    table.done()
    return config


def _prices(table: _Table) -> Prices | None:
    """USD per million tokens, as providers publish them. All or nothing but for ``cached``,
    which is as dear as the rest unless it is said."""
    names = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_usd_per_mtok")
    if not any(table.has(name) for name in names):
        for name in names:
            table.optional(name, float)
        return None
    uncached = table.number(names[0], float, None, 0, 10_000)
    out = table.number(names[1], float, None, 0, 10_000)
    cached = table.number(names[2], float, uncached, 0, 10_000)
    return Prices.per_million(uncached, out, cached)


def _order(table: _Table, names: Sequence[str]) -> tuple[str, ...]:
    order = table.get("order", list, list(names))
    table.done()
    for i, name in enumerate(order):
        if name not in names:
            known = ", ".join(names)
            raise _Wrong("router.order", f"{name!r} is no backend; there are: {known}")
        if name in order[:i]:
            raise _Wrong("router.order", f"{name!r} is there twice")
    if not order:
        raise _Wrong("router.order", "at least one backend is needed")
    return tuple(order)


def _limits(table: _Table) -> LimitsConfig:
    config = LimitsConfig(
        concurrent_asks=table.number("concurrent_asks", int, 64, 1, 10_000),
        request_bytes=table.number("request_bytes", int, 16_384, 1024, 1_048_576),
    )
    table.done()
    return config


def read_key(
    config: BackendConfig, environ: Mapping[str, str] | None = None, name: str = ""
) -> str | None:
    """The key of a backend, None where none is configured. Raises ConfigError when it is
    configured and not there; the key is in no message."""
    of = name or config.name
    if config.key_env is not None:
        key = (os.environ if environ is None else environ).get(config.key_env, "").strip()
        if not key:
            raise ConfigError(f"backend {of}: the environment variable {config.key_env} is not set")
        return key
    if config.key_file is not None:
        try:
            key = config.key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no text"
            raise ConfigError(f"backend {of}: {config.key_file} cannot be read: {why}") from None
        if not key:
            raise ConfigError(f"backend {of}: {config.key_file} is empty")
        return key
    return None


_HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]\]?")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+)\s*=")


def _line_of(text: str, key: str) -> int:
    """The line where ``key`` (``backend[2].model``) or else its table stands; 0 if neither.
    tomllib tells no positions, so this reads the plain forms that people write."""
    counts: dict[str, int] = {}
    at = ""
    table_line = 0
    parent, _, leaf = key.rpartition(".")
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            at = header[1]
            if line.lstrip().startswith("[["):
                counts[at] = counts.get(at, 0) + 1
                at = f"{at}[{counts[at]}]"
            else:
                first, _, rest = at.partition(".")
                if rest and first in counts:
                    at = f"{first}[{counts[first]}].{rest}"
            if at == key:
                return number
            if at == parent or (not table_line and parent.startswith(at + ".")):
                table_line = number
            continue
        found = _KEY.match(line)
        if found and at == parent and found[1] == leaf:
            return number
        if found and f"{at}.{found[1]}".lstrip(".") == parent:
            table_line = number
    return table_line
