"""What a configuration is, once it has been read: frozen dataclasses and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from companion.link import BrokerUrl
from companion.meter import Prices, Tier
from companion.meter.purse import Cap

Policy: TypeAlias = Literal["auto", "cheapest", "fastest", "private", "best", "order"]


class ConfigError(Exception):
    """The configuration cannot be used. The message names file, line or key, and the remedy."""


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """``[broker]``"""

    url: str = "mqtt://127.0.0.1:1883"
    ca: Path | None = None
    client_id: str | None = None
    lan: bool = False
    """The embedded broker listens on the network, too, for boards, with the certificate of
    ``ganglion ca``."""
    lan_port: int = 0
    """0: the usual one, 8883 with TLS and 1883 without."""
    lan_host: str = ""
    """How boards are to call this machine, a name or an address; "": its address."""
    insecure: bool = False
    """Plain MQTT off loopback is meant."""
    register: str = ""
    """For a broker of one's own: the command that lets a login in or shuts it out."""

    @property
    def own(self) -> bool:
        """Whether the user names a broker, so that none is embedded."""
        plain = BrokerConfig()
        return (self.url, self.ca, self.client_id) != (plain.url, plain.ca, plain.client_id)

    def __repr__(self) -> str:
        # The URL holds a password.
        return f"BrokerConfig({BrokerUrl.parse(self.url)!r})"


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """``[http]``. Port 0: any free one."""

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True, slots=True)
class BackendConfig:
    """``[[backend]]``: a provider's profile by name and what differs from it, or all by itself. A
    field that is None was not said: the profile's holds, or the card's default."""

    name: str
    kind: Literal["openai", "anthropic", "llama"] = "openai"
    profile: str | None = None
    url: str | None = None
    model: str | None = None
    path: Path | None = None
    """Of a GGUF file, for ``llama``."""
    threads: int = 1
    tier: Tier | None = None
    key_env: str | None = None
    key_file: Path | None = None
    key_keyring: str | None = None
    """``service/user`` in the keyring of the system. The key itself is never in the
    configuration."""
    prices: Prices | None = None
    free: bool = False
    """It asks no money. Without this and without prices, said or known, a backend outside the house
    is refused: it would spend past every budget, unseen."""
    timeout_s: float = 60.0
    stream: bool = False
    house: bool | None = None
    """Whether this server is in the house, so that private asks may go there. Not said: it is
    where its url names this machine or a private address."""
    quality: int | None = None
    typical_ms: int | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
    watts: float | None = None
    """What the machine draws while it answers, for estimates of energy."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of each request's body, as ``temperature``, for what a provider wants."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``[[router.rule]]``: whom it holds for, when, and what it says. The first that fits and
    says something decides that thing."""

    devices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Neither devices nor groups: all of the house."""
    begins: int | None = None
    """Minutes of the local day; None: all day. ``begins`` after ``ends`` runs over midnight."""
    ends: int | None = None
    policy: Policy | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    """Backends by name or tier."""


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """``[router]``"""

    policy: Policy = "auto"
    target_ms: int = 4000
    """What ``auto`` wants the 95th percentile of an answer's time to be."""
    min_quality: int = 0
    """What ``auto`` wants of a model, 0 to 100."""
    order: tuple[str, ...] = ()
    """With policy ``order``: the backends, in this order."""
    hedge: bool = True
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """``[store]``. ``url`` is SQLAlchemy's, ``sqlite:///companion.db`` or
    ``postgresql://user@host/db``; a password comes from ``password_env`` or ``password_file``."""

    url: str = ""
    password_env: str | None = None
    password_file: Path | None = None
    keep_days: int = 30
    """Answers older than this are kept as sums of days."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """``[log]``"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class EnergyConfig:
    """``[energy]``. What this machine draws without answering is measured for ``idle_s`` at the
    start, unless ``idle_watts`` says it."""

    measure: bool = True
    idle_watts: float | None = None
    idle_s: float = 5.0


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """``[limits]``"""

    concurrent_asks: int = 64
    """Asks that may wait for models at a time; past it devices are told to come back."""
    request_bytes: int = 16_384
    """Largest body of an HTTP request."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file."""

    broker: BrokerConfig = BrokerConfig()
    http: HttpConfig = HttpConfig()
    backends: tuple[BackendConfig, ...] = ()
    router: RouterConfig = RouterConfig()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``[groups]``: name → devices, for rules and budgets."""
    caps: tuple[Cap, ...] = ()
    """``[[budget]]``"""
    timezone: str = ""
    """IANA name, for budgets and times of day; "": the machine's."""
    limits: LimitsConfig = LimitsConfig()
    store: StoreConfig | None = None
    """None: nothing is kept."""
    log: LogConfig = LogConfig()
    energy: EnergyConfig = EnergyConfig()
    otlp_url: str | None = None
    """``[telemetry] otlp_url``: where traces go; wants the extra ``otel``."""
    profiles: Path | None = None
    """Folder of the user's own profiles of providers. Not from the file: the CLI sets it."""
    token: str | None = field(default=None, repr=False)
    """What HTTP requests must bear; None makes a fresh one. Not from the file: the CLI and
    tests set it."""
