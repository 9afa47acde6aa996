"""Which policy, and which backends, for a device at a time of day. Pure."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from zoneinfo import ZoneInfo

from companion.config.model import Policy, RouterConfig, Rule

Groups: TypeAlias = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one ask."""

    policy: Policy = "auto"
    allow: tuple[str, ...] | None = None
    """Backends by name or tier; None: every one."""
    deny: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    """With policy ``order`` the backends in this order; with another only these. Empty: all."""


def settings_for(
    config: RouterConfig,
    groups: Groups,
    device: str,
    minutes_of_day: int,
    request_policy: Policy | None = None,
) -> Settings:
    """The first rule that fits and says something decides that thing; what no rule says, the
    configuration does. Then the request's own policy, which may narrow and never widen:

    | configured | the request says | what holds |
    |---|---|---|
    | ``private`` | anything | ``private`` |
    | ``order`` | ``private`` | ``private``, of those in the order |
    | ``order`` | another | that one, of those in the order |
    | another | anything but ``order`` | what the request says |

    A request cannot ask for ``order``. What rules deny or do not allow stays out in every case.
    """
    policy: Policy | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    for rule in config.rules:
        if not (_concerns(rule, device, groups) and _is_on(rule, minutes_of_day)):
            continue
        policy = policy or rule.policy
        allow = rule.allow if allow is None else allow
        deny = deny or rule.deny
    policy = policy or config.policy
    order = config.order if policy == "order" else ()
    if request_policy is not None and request_policy != "order" and policy != "private":
        policy = request_policy
    return Settings(policy, allow, deny, order)


def _concerns(rule: Rule, device: str, groups: Groups) -> bool:
    if not rule.devices and not rule.groups:
        return True
    return device in rule.devices or any(device in groups.get(name, ()) for name in rule.groups)


def _is_on(rule: Rule, minutes: int) -> bool:
    begins = 0 if rule.begins is None else rule.begins
    ends = 24 * 60 if rule.ends is None else rule.ends
    if begins <= ends:
        return begins <= minutes < ends
    return minutes >= begins or minutes < ends


def minutes_in(timezone: str) -> Callable[[float], int]:
    """Unix seconds → minutes of the local day there; "": where this machine is. Raises
    ``zoneinfo.ZoneInfoNotFoundError``."""
    if not timezone:
        return lambda now: (at := time.localtime(now)).tm_hour * 60 + at.tm_min
    zone = ZoneInfo(timezone)

    def minutes(now: float) -> int:
        at = datetime.fromtimestamp(now, zone)
        return at.hour * 60 + at.minute

    return minutes
