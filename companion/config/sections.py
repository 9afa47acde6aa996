"""Each table of ``ganglion.toml`` → its dataclass."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, cast, get_args
from urllib.parse import urlsplit

from companion import wire, zones
from companion.config.model import (
    BackendConfig,
    BrokerConfig,
    EnergyConfig,
    HttpConfig,
    LimitsConfig,
    LogConfig,
    Policy,
    RouterConfig,
    Rule,
    StoreConfig,
)
from companion.config.table import Table
from companion.link import BrokerUrl
from companion.meter import NANO_PER_USD, Prices, Tier
from companion.meter.purse import Cap, Scope, Window

Kind: TypeAlias = Literal["openai", "anthropic", "llama"]

KINDS: Final = get_args(Kind)
TIERS: Final = get_args(Tier)
POLICIES: Final = get_args(Policy)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_NAME_IS: Final = "1 to 32 of a-z, 0-9, '.', '_' and '-', a letter or digit first"
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_TOKENS_MAX: Final = 100_000_000


def broker(table: Table) -> BrokerConfig:
    """``[broker]``"""
    plain = BrokerConfig()
    url = table.text("url", plain.url)
    try:
        BrokerUrl.parse(url)
    except ValueError as error:
        table.wrong("url", str(error))
        url = plain.url
    config = BrokerConfig(
        url,
        table.file("ca"),
        table.text("client_id", None),
        lan=table.get("lan", bool, plain.lan),
        lan_port=table.number("lan_port", int, plain.lan_port, 0, 65535),
        lan_host=table.text("lan_host", plain.lan_host),
        insecure=table.get("insecure", bool, plain.insecure),
        register=table.text("register", plain.register),
    )
    if config.own and config.lan:
        table.wrong("lan", "it is for the embedded broker, and there is a url of one of your own")
    table.done()
    return config


def http(table: Table) -> HttpConfig:
    """``[http]``"""
    plain = HttpConfig()
    config = HttpConfig(
        table.text("host", plain.host), table.number("port", int, plain.port, 0, 65535)
    )
    table.done()
    return config


class _Profile(Protocol):
    @property
    def kind(self) -> Kind: ...


def backend(table: Table, profiles: Mapping[str, _Profile]) -> BackendConfig:
    """``[[backend]]``. Of the profiles only the one that it names is looked up."""
    profile = table.text("profile", None)
    name = table.text("name", profile or "")
    if not name:
        table.wrong("name", "it is missing; a name is needed, or a profile")
    elif not _NAME.fullmatch(name):
        table.wrong("name", _NAME_IS)
    known = profiles.get(profile) if profile else None
    its_kind = None if known is None else known.kind
    kind = cast(Kind, table.choice("kind", KINDS, its_kind or "openai"))
    if its_kind is not None and kind != its_kind:
        table.wrong("kind", f"the profile {profile} is {its_kind}; leave kind out")
    url = _web_address(table, "url")
    if url is not None and "@" in urlsplit(url).netloc:
        table.wrong("url", "no user and password here; the key comes by key_env or key_file")
        url = None
    env, file, ring = _variable(table, "key_env"), table.file("key_file"), _keyring(table)
    if sum(source is not None for source in (env, file, ring)) > 1:
        last = "key_file" if ring is None else "key_keyring"
        table.wrong(last, "give one of key_env, key_file and key_keyring")
    config = BackendConfig(
        name=name,
        kind=kind,
        profile=profile,
        url=url,
        model=table.text("model", None),
        path=table.file("path"),
        threads=table.number("threads", int, 1, 1, 256),
        tier=cast(Tier | None, table.choice("tier", TIERS, None)),
        key_env=env,
        key_file=file,
        key_keyring=ring,
        prices=_prices(table),
        free=table.get("free", bool, False),
        timeout_s=table.number("timeout_s", float, 60.0, 0.1, 600),
        stream=table.get("stream", bool, False),
        house=table.get("house", bool, None),
        quality=table.number("quality", int, None, 0, 100),
        typical_ms=table.number("typical_ms", int, None, 1, 600_000),
        context_tokens=table.number("context_tokens", int, None, 0, _TOKENS_MAX),
        output_tokens=table.number("output_tokens", int, None, 1, _TOKENS_MAX),
        watts=table.number("watts", float, None, 0, 100_000),
        extra=table.free("extra"),
    )
    if not _is_json(config.extra):
        table.wrong("extra", "it goes into JSON, which has no dates, no nan and no inf")
    if config.free and config.prices is not None:
        table.wrong("free", "prices are given, so it is not free; leave one out")
    table.done()
    _complete(table, config)
    return config


def _web_address(table: Table, name: str) -> str | None:
    url = table.text(name, None)
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or re.search(r"\s", url):
        table.wrong(name, "it starts with http:// or https:// and names a host")
        return None
    return url


def _complete(table: Table, config: BackendConfig) -> None:
    """What a backend must say that has no profile to say it."""
    if config.kind == "llama":
        if table.has("url"):
            table.wrong("url", "a llama backend computes here: it has a path and no url")
        if config.path is None and config.profile is None and not table.has("path"):
            table.wrong("path", "it is missing; the path of a GGUF file is needed")
        return
    if table.has("path"):
        table.wrong("path", f"only a llama backend has one, and this is {config.kind}")
    if config.profile is not None:
        return
    needed = ("url", "model") if config.kind == "openai" else ("model",)
    for name in needed:
        if not table.has(name):
            table.wrong(name, "it is missing; a string is needed, or a profile that says it")


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _variable(table: Table, name: str) -> str | None:
    value = table.text(name, None)
    if value is not None and not _VARIABLE.fullmatch(value):
        # Whatever is written here by mistake may be the key: it is not repeated.
        table.wrong(
            name, "the name of an environment variable (A-Z, 0-9, _) is needed, not what is in it"
        )
        return None
    return value


def _keyring(table: Table) -> str | None:
    value = table.text("key_keyring", None)
    if value is not None and not all(value.partition("/")):
        table.wrong("key_keyring", "service/user is needed, as ganglion/deepseek")
        return None
    return value


_TOKEN_PRICES: Final = ("input_usd_per_mtok", "output_usd_per_mtok")
_SPECIAL_PRICES: Final = ("cached_usd_per_mtok", "cache_written_usd_per_mtok")
_OTHER_PRICES: Final = ("request_usd", "hour_usd")


def _prices(table: Table) -> Prices | None:
    """USD per million tokens, per request and per hour. Input and output go together; a special
    token costs what any other does unless it is said."""
    uncached, out, cached, written = (
        table.number(name, float, None, 0, 10_000) for name in _TOKEN_PRICES + _SPECIAL_PRICES
    )
    request, hour = (table.number(name, float, 0.0, 0, 10_000) for name in _OTHER_PRICES)
    if table.has(*_TOKEN_PRICES, *_SPECIAL_PRICES):
        for name in _TOKEN_PRICES:
            if not table.has(name):
                table.wrong(name, "it is missing; input and output prices go together")
    elif not table.has(*_OTHER_PRICES):
        return None
    return Prices.per_million(
        uncached or 0,
        out or 0,
        cached,
        written,
        request_usd=request,
        hour_usd=hour,
        version="configuration",
    )


def router(table: Table) -> RouterConfig:
    """``[router]``. An order without a policy is the policy ``order``."""
    plain = RouterConfig()
    order = table.names("order")
    if order is not None and not order:
        table.wrong("order", "at least one backend is needed")
    config = RouterConfig(
        policy=cast(Policy, table.choice("policy", POLICIES, "order" if order else plain.policy)),
        target_ms=table.number("target_ms", int, plain.target_ms, 50, 120_000),
        min_quality=table.number("min_quality", int, plain.min_quality, 0, 100),
        order=order or (),
        hedge=table.get("hedge", bool, plain.hedge),
        rules=tuple(_rule(t) for t in table.tables("rule")),
    )
    if config.policy == "order" and order is None:
        table.wrong("policy", "'order' needs [router] order, the backends in their order")
    table.done()
    return config


def _rule(table: Table) -> Rule:
    devices = table.names("devices", wire.is_device, _DEVICE_IS) or ()
    begins, ends = _clock(table, "from"), _clock(table, "to")
    if table.has("from") != table.has("to"):
        table.wrong("from" if table.has("from") else "to", "from and to go together")
    elif begins is not None and begins == ends:
        table.wrong("to", "from and to are the same; leave both out for the whole day")
    rule = Rule(
        devices=devices,
        groups=table.names("groups") or (),
        begins=begins,
        ends=ends,
        policy=cast(Policy | None, table.choice("policy", POLICIES, None)),
        allow=table.names("allow"),
        deny=table.names("deny") or (),
    )
    if not table.has("policy", "allow", "deny"):
        table.wrong("", "this rule says nothing; give it policy, allow or deny")
    table.done()
    return rule


_DEVICE_IS: Final = "a device id has 1 to 32 of a-z, 0-9 and -, and is not 'all'"


def _clock(table: Table, name: str) -> int | None:
    """Minutes of the day."""
    value = table.get(name, str, None)
    if value is None:
        return None
    found = _CLOCK.fullmatch(value)
    if found is None:
        table.wrong(name, 'a time of day is needed, "00:00" to "23:59"')
        return None
    return int(found[1]) * 60 + int(found[2])


def groups(table: Table) -> dict[str, tuple[str, ...]]:
    """``[groups]``"""
    found = {}
    for name in table.said():
        if not _NAME.fullmatch(name):
            table.wrong(name, f"the name of a group has {_NAME_IS}")
        found[name] = table.names(name, wire.is_device, _DEVICE_IS) or ()
    return found


def cap(table: Table) -> Cap:
    """``[[budget]]``"""
    scope = cast(Scope, table.choice("scope", get_args(Scope), "house"))
    window = cast(Window, table.choice("per", get_args(Window), "day"))
    for name, example in (("scope", "device, group or house"), ("per", "hour, day or month")):
        if not table.has(name):
            table.wrong(name, f"it is missing; {example} is needed")
    name = table.text("name", "")
    if scope == "house" and name:
        table.wrong("name", "the budget of the house has no name")
    elif scope == "group" and not table.has("name"):
        table.wrong("name", "it is missing; the name of a group is needed")
    usd = table.number("usd", float, None, 0, 1_000_000)
    tokens = table.number("tokens", int, None, 0, 10**12)
    if not table.has("usd", "tokens"):
        table.wrong("", "this budget limits nothing; give it usd, tokens or both")
    table.done()
    nano = None if usd is None else int(Decimal(str(usd)) * NANO_PER_USD)
    return Cap(scope, window, name, nano, tokens)


def timezone(top: Table) -> str:
    """``timezone``"""
    name = top.text("timezone", "")
    if name and name not in zones.names():
        near = zones.nearest(name)
        hint = f"; near: {', '.join(near)}" if near else ""
        top.wrong("timezone", f"no such time zone; a name is as Europe/Berlin{hint}")
        return ""
    return name


def limits(table: Table) -> LimitsConfig:
    """``[limits]``"""
    plain = LimitsConfig()
    config = LimitsConfig(
        concurrent_asks=table.number("concurrent_asks", int, plain.concurrent_asks, 1, 10_000),
        request_bytes=table.number("request_bytes", int, plain.request_bytes, 1024, 1_048_576),
    )
    table.done()
    return config


def store(table: Table) -> StoreConfig:
    """``[store]``. A relative SQLite file begins at the folder of the configuration."""
    plain = StoreConfig()
    url = table.text("url", plain.url)
    try:
        scheme, password = urlsplit(url).scheme, urlsplit(url).password
    except ValueError:
        scheme, password = "", None
    if url and scheme.partition("+")[0] not in ("sqlite", "postgresql"):
        table.wrong("url", "sqlite:///FILE or postgresql://USER@HOST/DATABASE is needed")
    elif url.startswith("sqlite") and not url.partition(":///")[2]:
        table.wrong("url", "sqlite:///FILE is needed, sqlite:////FILE for an absolute path")
    elif password is not None:
        # Not repeated.
        table.wrong("url", "no password here; give it by password_env or password_file")
    config = StoreConfig(
        url=_beside(table.base, url),
        password_env=_variable(table, "password_env"),
        password_file=table.file("password_file"),
        keep_days=table.number("keep_days", int, plain.keep_days, 1, 36_500),
    )
    if config.password_env and config.password_file:
        table.wrong("password_file", "give password_env or password_file, not both")
    table.done()
    return config


def _beside(base: Path, url: str) -> str:
    scheme, mark, file = url.partition(":///")
    if not mark or not scheme.startswith("sqlite"):
        return url
    return f"{scheme}:///{(base / Path(file).expanduser()).absolute()}"


def log(table: Table) -> LogConfig:
    """``[log]``"""
    plain = LogConfig()
    levels, formats = ("debug", "info", "warning", "error"), ("text", "json")
    config = LogConfig(
        level=cast(
            Literal["debug", "info", "warning", "error"],
            table.choice("level", levels, plain.level),
        ),
        format=cast(Literal["text", "json"], table.choice("format", formats, plain.format)),
    )
    table.done()
    return config


def energy(table: Table) -> EnergyConfig:
    """``[energy]``"""
    plain = EnergyConfig()
    config = EnergyConfig(
        measure=table.get("measure", bool, plain.measure),
        idle_watts=table.number("idle_watts", float, None, 0, 100_000),
        idle_s=table.number("idle_s", float, plain.idle_s, 0.1, 60),
    )
    table.done()
    return config


def telemetry(table: Table) -> str | None:
    """``[telemetry]``"""
    url = _web_address(table, "otlp_url")
    table.done()
    return url
