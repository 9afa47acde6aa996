"""``ganglion.toml`` → frozen dataclasses."""

from companion.config.keys import read_key
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
from companion.config.read import Profiles, Reading, load, parse, read
from companion.config.sections import TIERS
from companion.config.table import ConfigErrors, Finding

__all__ = [
    "TIERS",
    "BackendConfig",
    "BrokerConfig",
    "Config",
    "ConfigError",
    "ConfigErrors",
    "Finding",
    "HttpConfig",
    "LimitsConfig",
    "Profiles",
    "Reading",
    "RouterConfig",
    "StoreConfig",
    "load",
    "parse",
    "read",
    "read_key",
]
