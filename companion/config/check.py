"""What the tables of a configuration say of each other."""

from collections.abc import Collection, Mapping
from typing import Final, get_args

from companion import wire
from companion.config.house import Provider, is_in_house
from companion.config.lines import KeyPath
from companion.config.model import Config, Policy
from companion.config.table import Findings, near
from companion.meter import Tier

COMMANDS: Final = "commands"
"""The backend that is always there."""
_TIERS: Final[tuple[str, ...]] = get_args(Tier)


def check(config: Config, findings: Findings, profiles: Mapping[str, Provider] | None) -> None:
    """Find names that mean nothing, things that are there twice, and policies that cannot do
    what they say."""
    names = [COMMANDS, *(b.name for b in config.backends)]
    for index, backend in enumerate(config.backends):
        path: KeyPath = ("backend", index)
        if backend.name and names.index(backend.name) != index + 1:
            findings.wrong((*path, "name"), f"two backends are called {backend.name!r}")
        if backend.profile is not None and profiles is not None and backend.profile not in profiles:
            known = ", ".join(sorted(profiles))
            hint = near(backend.profile, profiles) or ";"
            findings.wrong((*path, "profile"), f"there is no such profile{hint} known are: {known}")
    _router(config, names, findings)
    _budgets(config, findings)
    _private(config, findings, profiles)


def _router(config: Config, names: list[str], findings: Findings) -> None:
    path: KeyPath = ("router", "order")
    _known(config.router.order, names, path, "backend", findings)
    for index, rule in enumerate(config.router.rules):
        path = ("router", "rule", index)
        for key, said in (("allow", rule.allow or ()), ("deny", rule.deny)):
            _known(said, [*names, *_TIERS], (*path, key), "backend or tier", findings)
        _known(rule.groups, config.groups, (*path, "groups"), "group", findings)
        if rule.policy == "order" and not config.router.order:
            text = "'order' needs [router] order, the backends in their order"
            findings.wrong((*path, "policy"), text)


def _known(
    said: tuple[str, ...], known: Collection[str], path: KeyPath, what: str, findings: Findings
) -> None:
    for index, name in enumerate(said):
        if name not in known:
            there = ", ".join(known) or "none"
            text = f"{name!r:.40} is no {what}{near(name, known) or ';'} there are: {there}"
            findings.wrong((*path, index), text)


def _budgets(config: Config, findings: Findings) -> None:
    seen = set()
    for index, cap in enumerate(config.caps):
        path: KeyPath = ("budget", index)
        if cap.scope == "group" and cap.name and cap.name not in config.groups:
            _known((cap.name,), config.groups, (*path, "name"), "group", findings)
        if cap.scope == "device" and cap.name and not wire.is_device(cap.name):
            text = "a device id has 1 to 32 of a-z, 0-9 and -, and is not 'all'"
            findings.wrong((*path, "name"), text)
        key = (cap.scope, cap.name, cap.window)
        if key in seen:
            findings.wrong(path, f"a budget for the same {cap.window} is there twice")
        seen.add(key)


def _private(config: Config, findings: Findings, profiles: Mapping[str, Provider] | None) -> None:
    if any(is_in_house(b, (profiles or {}).get(b.profile or "")) for b in config.backends):
        return
    asked: list[tuple[KeyPath, Policy | None]] = [(("router", "policy"), config.router.policy)]
    asked += [
        (("router", "rule", i, "policy"), r.policy) for i, r in enumerate(config.router.rules)
    ]
    for path, policy in asked:
        if policy == "private":
            findings.doubtful(
                path, "no model is in the house: private asks are for 'commands' alone"
            )
