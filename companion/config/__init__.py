"""``ganglion.toml`` → frozen dataclasses."""

from companion.config.model import (
    BackendConfig,
    BrokerConfig,
    Config,
    ConfigError,
    HttpConfig,
    LimitsConfig,
    RouterConfig,
    StoreConfig,
)
from companion.config.read import TIERS, load, parse, read_key

__all__ = [
    "TIERS",
    "BackendConfig",
    "BrokerConfig",
    "Config",
    "ConfigError",
    "HttpConfig",
    "LimitsConfig",
    "RouterConfig",
    "StoreConfig",
    "load",
    "parse",
    "read_key",
]
