"""What is known of a provider, as data: one TOML file a provider.

Those that ship lie in ``profiles/``; a file of the same name in a folder of the user's replaces
one, another name adds one. A file is read when a backend names it and not before. What is in it
is strict: a key that is not known, or of another type, is an error that names file and key.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from companion.config import ConfigError
from companion.meter import Prices, Tier
from companion.meter.book import Dated

SHIPPED: Final = Path(__file__).parent / "profiles"
ANY: Final = "*"
"""The id of a model entry that stands for every model that has none of its own."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")

Kind: TypeAlias = Literal["openai", "anthropic", "llama"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a server's chat completions differ from OpenAI's. Paths are dotted, into the usage
    object unless they begin with "/": then into the whole answer."""

    max_tokens: str = "max_tokens"
    """The field that bounds an answer: ``max_tokens`` or ``max_completion_tokens``."""
    forbidden: frozenset[str] = frozenset()
    """Fields of a request that it refuses."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that each request has."""
    call_extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields that each tool call of an earlier round has, as it is sent back."""
    cached_at: tuple[str, ...] = (
        "prompt_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",
    )
    """Where cached input tokens are told, the first that is there; a number in a path is a place
    in a list."""
    reasoning_at: tuple[str, ...] = ("completion_tokens_details.reasoning_tokens",)
    cache_written_at: tuple[str, ...] = ("prompt_tokens_details.cache_write_tokens",)
    """Where input tokens are told that the provider put into its cache at a price of their own."""
    reasoning_apart: bool = False
    """Reasoning tokens are not among ``completion_tokens`` and are added to them."""
    rest_is_output: bool = False
    """``completion_tokens`` leaves out what was thought, and nothing says how much that was: the
    output is what ``total_tokens`` is more than ``prompt_tokens``."""
    stream_usage: Literal["option", "always", "never"] = "option"
    """How a stream comes to tell its usage: asked by ``stream_options``, unasked, or not."""
    usage_at: tuple[str, ...] = ("/usage",)
    """Where the usage object is, the first that is there."""


PLAIN = Quirks()


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a provider."""

    id: str
    tier: Tier
    context_tokens: int = 0
    output_tokens: int = 1024
    """What a request asks for at most; far below what the model could, since it bounds the cost."""
    tools: bool = True
    json_schema: bool = False
    streaming: bool = True
    parallel_calls: bool = False
    quality: int = 50
    """An opinion, and a coarse one."""
    typical_ms: int = 2000
    """The same, until it has been measured."""
    joules_per_token: float | None = None
    """As its publisher estimates."""
    quirks: Quirks = PLAIN
    output_limit_tokens: int = 0
    """The most its provider allows; 0: not known."""
    dated: tuple[Dated, ...] = ()
    """Prices of our own table, which win over ``genai-prices``."""
    source: str = ""
    unconfirmed: tuple[str, ...] = ()
    """Keys of it that no source was found for."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One provider."""

    name: str
    title: str
    kind: Kind
    url: str
    key_env: str
    """The variable that its key is usually in; "" where it wants none."""
    checked: str
    """The day these facts were last read at their sources, ``2026-11-21``."""
    models: tuple[Model, ...]
    local: bool = False
    """It runs in the house."""
    keeps_prompts: bool | None = None
    region: str = ""
    prices_from: str = ""
    """What ``genai-prices`` calls it; "" where that has no prices of it."""
    free: bool = False
    """It asks no money, within its rate limits."""
    policy: str = ""
    """Its data policy in a clause, for people."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Key → the address that it was read at."""
    unconfirmed: tuple[str, ...] = ()

    def model(self, id: str) -> Model | None:
        """The entry for that model: its own, else the one for any; None where there is neither."""
        for entry in self.models:
            if entry.id == id:
                return entry
        return next((entry for entry in self.models if entry.id == ANY), None)


class ProfileError(ConfigError):
    """A profile cannot be used. The message names file and key, and what is allowed."""


def names(folder: Path | None = None) -> tuple[str, ...]:
    """Of all profiles: those that ship and those in ``folder``. Reads none of them."""
    found = {path.stem for path in SHIPPED.glob("*.toml")}
    if folder is not None:
        found |= {path.stem for path in folder.glob("*.toml")}
    return tuple(sorted(found))


def load(name: str, folder: Path | None = None) -> Profile:
    """The profile of that name: from ``folder`` if it has one, else as shipped. Raises
    ProfileError."""
    if not _NAME.fullmatch(name):
        raise ProfileError(f"{name[:48]!r} names no profile: that is 1 to 32 of a-z 0-9 . _ -")
    for place in (folder, SHIPPED):
        path = None if place is None else place / f"{name}.toml"
        if path is not None and path.is_file():
            return _read(path)
    known = ", ".join(names(folder))
    raise ProfileError(f"there is no profile {name[:48]!r}; there are {known}")


class Shelf(Mapping[str, Profile]):
    """All profiles by name. One is read when it is looked up, and not twice; ``shelf[name]`` raises
    ProfileError where its file is wrong."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._names = names(folder)
        self._read: dict[str, Profile] = {}

    def __getitem__(self, name: str) -> Profile:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = load(name, self._folder)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names


def parse(text: str, name: str, origin: str) -> Profile:
    """A profile from TOML. ``origin`` names it in errors. Raises ProfileError."""
    try:
        said = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{origin}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise ProfileError(f"{origin}: {_first(error)}") from None
    ids = [model.id for model in said.model]
    twice = next((id for id in ids if ids.count(id) > 1), None)
    if twice is not None:
        raise ProfileError(f"{origin}: model.id: {twice!r} is there twice")
    plain = said.quirks.over(PLAIN)
    return Profile(
        name=name,
        title=said.title,
        kind=said.kind,
        url=said.url,
        key_env=said.key_env,
        checked=said.checked.isoformat(),
        models=tuple(_model(entry, plain) for entry in said.model),
        local=said.local,
        keeps_prompts=said.keeps_prompts,
        region=said.region,
        prices_from=said.prices_from,
        free=said.free,
        policy=said.policy,
        sources=said.sources,
        unconfirmed=tuple(said.unconfirmed),
    )


def _read(path: Path) -> Profile:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ProfileError(f"{path}: it cannot be read: {why}") from None
    return parse(text, path.stem, str(path))


def _model(said: "_Model", plain: Quirks) -> Model:
    given = {key: getattr(said, key) for key in _SAME if key in said.model_fields_set}
    return Model(
        **given,
        quirks=said.quirks.over(plain),
        dated=tuple(price.dated() for price in said.price),
        unconfirmed=tuple(said.unconfirmed),
    )


def _first(error: ValidationError) -> str:
    """What is wrong, as ``model 2.tier: …``, counting from 1 as people do."""
    all_wrong = error.errors(include_url=False)
    # A key that is misspelt is also missing; the spelling says more.
    wrong = next((w for w in all_wrong if w["type"] == "extra_forbidden"), all_wrong[0])
    key = ""
    for part in wrong["loc"]:
        key += f" {part + 1}" if isinstance(part, int) else f".{part}" if key else str(part)
    if wrong["type"] == "extra_forbidden":
        return f"{key}: there is no such key"
    if wrong["type"] == "missing":
        return f"{key}: it is missing"
    return f"{key}: {wrong['msg'][:1].lower()}{wrong['msg'][1:]}"


# -- what stands in a file


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_Tokens: TypeAlias = Annotated[int, Field(ge=1, le=100_000_000)]
_Usd: TypeAlias = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
_Address: TypeAlias = Annotated[str, Field(pattern=r"^https?://\S+$")]


class _Quirks(_Strict):
    max_tokens: Literal["max_tokens", "max_completion_tokens"] | None = None
    forbidden: list[str] | None = None
    extra: dict[str, Any] | None = None
    call_extra: dict[str, Any] | None = None
    cached_at: list[str] | None = None
    reasoning_at: list[str] | None = None
    cache_written_at: list[str] | None = None
    reasoning_apart: bool | None = None
    rest_is_output: bool | None = None
    stream_usage: Literal["option", "always", "never"] | None = None
    usage_at: list[str] | None = None

    def over(self, below: Quirks) -> Quirks:
        """``below`` with what is said here."""
        said: dict[str, Any] = {}
        for key in self.model_fields_set:
            value = getattr(self, key)
            if key == "forbidden":
                value = frozenset(value)
            elif isinstance(value, list):
                value = tuple(value)
            said[key] = value
        return replace(below, **said)


class _Price(_Strict):
    since: date = Field(alias="from")
    source: _Address
    input_usd_per_mtok: _Usd
    output_usd_per_mtok: _Usd
    cached_usd_per_mtok: _Usd | None = None
    cache_written_usd_per_mtok: _Usd | None = None
    request_usd: _Usd = 0
    hour_usd: _Usd = 0

    def dated(self) -> Dated:
        prices = Prices.per_million(
            self.input_usd_per_mtok,
            self.output_usd_per_mtok,
            self.cached_usd_per_mtok,
            self.cache_written_usd_per_mtok,
            request_usd=self.request_usd,
            hour_usd=self.hour_usd,
        )
        return Dated(self.since, prices, self.source)


class _Model(_Strict):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    tier: Tier
    source: _Address = ""
    context_tokens: _Tokens = 1
    output_limit_tokens: _Tokens = 1
    output_tokens: _Tokens = 1
    tools: bool = True
    json_schema: bool = False
    streaming: bool = True
    parallel_calls: bool = False
    quality: Annotated[int, Field(ge=0, le=100)] = 0
    typical_ms: Annotated[int, Field(ge=1, le=600_000)] = 1
    joules_per_token: Annotated[float, Field(gt=0, le=10_000)] | None = None
    quirks: _Quirks = _Quirks()
    price: list[_Price] = []
    unconfirmed: list[str] = []


_SAME: Final = tuple(_Model.model_fields.keys() - {"quirks", "price", "unconfirmed"})
"""Keys of a model's table that are fields of ``Model``; one that is not said keeps its default."""


class _File(_Strict):
    title: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Kind
    url: _Address
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = ""
    checked: date
    local: bool = False
    keeps_prompts: bool | None = None
    region: str = ""
    policy: str = ""
    prices_from: str = ""
    free: bool = False
    unconfirmed: list[str] = []
    sources: dict[str, _Address] = {}
    quirks: _Quirks = _Quirks()
    model: Annotated[list[_Model], Field(min_length=1)]
