"""A backend's configuration, its provider's profile and a key → the backend.

What the configuration says wins over the profile. Each kind's module, and with it its SDK, is
imported when the first backend of that kind is made.
"""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from companion.backends.base import Backend, Card
from companion.backends.profile import ANY, PLAIN, Kind, Model, Profile, ProfileError, Quirks, load
from companion.config import BackendConfig, ConfigError
from companion.config.house import is_in_house, is_loopback_url
from companion.meter import Prices
from companion.meter.book import prices_of


@dataclass(frozen=True, slots=True)
class Parts:
    """What a backend is made of, but for its key."""

    card: Card
    kind: Kind
    url: str
    """"" for the SDK's own, and for a model in this process."""
    quirks: Quirks
    json_schema: bool
    """Whether it can be held to a JSON Schema."""


def complete(config: BackendConfig, folder: Path | None) -> BackendConfig:
    """``config`` with its key's variable from the profile, where it says no place of a key.
    Raises ConfigError for a profile that cannot be used."""
    if config.key_env or config.key_file or config.key_keyring:
        return config
    profile = _profile(config, folder)
    return replace(config, key_env=profile.key_env) if profile and profile.key_env else config


def make(
    config: BackendConfig, key: str | None, *, folder: Path | None = None, today: date
) -> Backend:
    """The backend. ``folder`` holds the user's own profiles; prices are those of ``today``.
    Raises ConfigError where the configuration and the profile together do not say enough."""
    parts = plan(config, folder=folder, today=today)
    if parts.kind == "llama":
        if config.path is None:
            raise ConfigError(f"backend {config.name}: path is missing: the GGUF file of its model")
        from companion.backends.llama import LlamaBackend

        return LlamaBackend(parts.card, config.path, threads=config.threads, extra=config.extra)
    if parts.kind == "anthropic":
        if not key:
            raise ConfigError(f"backend {config.name}: it wants a key; say key_env or key_file")
        from companion.backends.anthropic import AnthropicBackend

        return AnthropicBackend(
            parts.card,
            key=key,
            url=parts.url or None,
            timeout_s=config.timeout_s,
            extra={**parts.quirks.extra, **config.extra},
            stream=config.stream,
        )
    from companion.backends.openai import OpenAIBackend

    return OpenAIBackend(
        parts.card,
        parts.url,
        key=key,
        quirks=parts.quirks,
        timeout_s=config.timeout_s,
        extra=config.extra,
        stream=config.stream,
    )


def plan(config: BackendConfig, *, folder: Path | None = None, today: date) -> Parts:
    """What ``make`` would make. Imports no SDK and opens nothing. Raises ConfigError."""
    profile = _profile(config, folder)
    kind: Kind = config.kind if profile is None else profile.kind
    url = config.url or (profile.url if profile else "")
    if kind == "openai" and not url:
        raise ConfigError(f"backend {config.name}: url is missing")
    model = _model(config, profile)
    local = is_in_house(replace(config, kind=kind), profile)
    output_tokens = config.output_tokens or model.output_tokens
    if 0 < model.output_limit_tokens < output_tokens:
        raise ConfigError(
            f"backend {config.name}: output_tokens: {model.id} gives "
            f"{model.output_limit_tokens} at most"
        )
    card = Card(
        config.name,
        tier=config.tier or model.tier,
        model=model.id,
        local=local,
        prices=_prices(config, profile, model, local, today),
        context_tokens=_first(config.context_tokens, model.context_tokens),
        output_tokens=output_tokens,
        tools=model.tools,
        quality=_first(config.quality, model.quality),
        typical_ms=_first(config.typical_ms, model.typical_ms),
        joules_per_token=model.joules_per_token,
        here=kind == "llama" or (local and is_loopback_url(url)),
        watts=config.watts,
        # What the provider does with prompts says nothing of another host.
        keeps_prompts=profile.keeps_prompts if profile and _is_theirs(config, profile) else None,
        region=profile.region if profile and _is_theirs(config, profile) else "",
    )
    return Parts(card, kind, url, model.quirks, model.json_schema)


def _profile(config: BackendConfig, folder: Path | None) -> Profile | None:
    name = config.profile
    if name is None and config.kind == "anthropic" and config.url is None:
        name = "anthropic"
    if name is None:
        return None
    try:
        return load(name, folder)
    except ProfileError as error:
        raise ConfigError(f"backend {config.name}: {error}") from None


def _model(config: BackendConfig, profile: Profile | None) -> Model:
    """The model that is configured, or the profile's first."""
    if profile is None:
        return _unknown(config, config.model or "", PLAIN)
    first = profile.models[0].id
    id = config.model or ("" if first == ANY else first)
    if not id:
        raise ConfigError(f"backend {config.name}: model is missing: {profile.title} runs any")
    entry = profile.model(id)
    # A provider has more models than its profile, and new ones sooner.
    return (
        _unknown(config, id, profile.models[0].quirks) if entry is None else replace(entry, id=id)
    )


def _unknown(config: BackendConfig, id: str, quirks: Quirks) -> Model:
    if not id and config.kind == "openai":
        raise ConfigError(f"backend {config.name}: model is missing")
    return Model(id, "edge" if config.kind == "llama" else "commodity", quirks=quirks)


def _is_theirs(config: BackendConfig, profile: Profile) -> bool:
    return config.url is None or urlsplit(config.url).netloc == urlsplit(profile.url).netloc


def _prices(
    config: BackendConfig, profile: Profile | None, model: Model, local: bool, today: date
) -> Prices | None:
    if config.prices is not None:
        return config.prices
    if config.free or local or (profile and profile.free and _is_theirs(config, profile)):
        return None
    found = None
    if profile is not None:
        found = prices_of(profile.name, model.id, today, model.dated, profile.prices_from)
    if found is None:
        # Asked without a price it would spend past every budget, unseen.
        raise ConfigError(
            f"backend {config.name}: what {model.id or 'its model'} costs is not known. Say "
            "input_usd_per_mtok and output_usd_per_mtok, or free = true if it costs nothing, or "
            "house = true if it is a server of your own"
        )
    return found


def _first(said: int | None, otherwise: int) -> int:
    return otherwise if said is None else said
