"""What is known of a provider, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from companion.meter import Prices, Tier

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
    cached_at: tuple[str, ...] = (
        "prompt_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",
    )
    """Where cached input tokens are told, the first that is there; a number in a path is a place
    in a list."""
    reasoning_at: tuple[str, ...] = ("completion_tokens_details.reasoning_tokens",)
    reasoning_apart: bool = False
    """Reasoning tokens are not among ``completion_tokens`` and are added to them."""
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
    tools: bool = True
    json_schema: bool = False
    streaming: bool = True
    parallel_calls: bool = False
    quality: int = 50
    typical_ms: int = 2000
    prices: Prices | None = None
    joules_per_token: float | None = None
    quirks: Quirks = PLAIN


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
