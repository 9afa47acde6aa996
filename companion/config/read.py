"""``ganglion.toml`` and the environment → frozen dataclasses, or errors that say where and what is
allowed.

A key that is not known is an error: a misspelt ``modell`` must not be silently nothing. All that
is wrong is told at once.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from companion.config import sections
from companion.config.check import check
from companion.config.environ import lay_over, overrides
from companion.config.lines import KeyPath, key_lines
from companion.config.model import Config, ConfigError
from companion.config.sections import Kind
from companion.config.table import ConfigErrors, Finding, Findings, Table


class KnownProfile(Protocol):
    """What must be known of a provider's profile to judge a configuration; a
    ``backends.profile.Profile`` is one."""

    @property
    def kind(self) -> Kind: ...
    @property
    def url(self) -> str: ...
    @property
    def local(self) -> bool: ...
    @property
    def key_env(self) -> str: ...


Profiles = Mapping[str, KnownProfile]


@dataclass(frozen=True, slots=True)
class Reading:
    """A configuration that can be used, what is doubtful about it, and where its keys stand."""

    config: Config
    warnings: tuple[Finding, ...] = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)


def load(
    path: Path, environ: Mapping[str, str] | None = None, profiles: Profiles | None = None
) -> Config:
    """``read`` without its warnings."""
    return read(path, environ, profiles).config


def read(
    path: Path | None,
    environ: Mapping[str, str] | None = None,
    profiles: Profiles | None = None,
) -> Reading:
    """Read a file (None: there is none) and the overrides of ``environ``. With ``profiles`` the
    name of a profile is checked and its kind is taken over. Raises ConfigError, mostly
    ConfigErrors."""
    if path is None:
        return interpret("", "no file", None, environ, profiles)
    try:
        text = path.read_text(encoding="utf-8-sig")  # Some editors begin it with a BOM.
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path}: it cannot be read ({why})") from None
    return interpret(text, str(path), path.parent, environ, profiles)


def parse(text: str, origin: str = "ganglion.toml", base: Path | None = None) -> Config:
    """``interpret`` without overrides and warnings."""
    return interpret(text, origin, base).config


def interpret(
    text: str,
    origin: str = "ganglion.toml",
    base: Path | None = None,
    environ: Mapping[str, str] | None = None,
    profiles: Profiles | None = None,
) -> Reading:
    """What a TOML text means. ``origin`` names it in errors; relative paths in it begin at
    ``base``. Raises ConfigErrors."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigErrors([_not_toml(origin, error)]) from None
    findings = Findings(origin, key_lines(text))
    for override in overrides(environ or {}):
        try:
            findings.variables[lay_over(data, override)] = override.variable
        except ValueError as error:
            findings.errors.append(Finding(override.variable, 0, "", str(error)))
    top = Table(data, (), base or Path(), findings)
    store = sections.store(top.table("store"))
    config = Config(
        broker=sections.broker(top.table("broker")),
        http=sections.http(top.table("http")),
        backends=tuple(sections.backend(t, profiles or {}) for t in top.tables("backend")),
        router=sections.router(top.table("router")),
        groups=sections.groups(top.table("groups")),
        caps=tuple(sections.cap(t) for t in top.tables("budget")),
        timezone=sections.timezone(top),
        limits=sections.limits(top.table("limits")),
        store=store if top.has("store") else None,
        log=sections.log(top.table("log")),
        energy=sections.energy(top.table("energy")),
        otlp_url=sections.telemetry(top.table("telemetry")),
    )
    top.done()
    check(config, findings, profiles)
    if findings.errors:
        raise ConfigErrors(findings.sorted_errors())
    return Reading(config, tuple(findings.warnings), findings.lines)


def _not_toml(origin: str, error: Exception) -> Finding:
    """tomllib says the place only in words: "Expected … (at line 3, column 5)"."""
    text, _, place = str(error).partition(" (at line ")
    line = place.partition(",")[0]
    if line.isdigit():
        return Finding(origin, int(line), "", f"not valid TOML: {text}")
    return Finding(origin, 0, "", f"not valid TOML: {error}")
