"""What the router needs of whoever keeps the budgets: reserve before, settle after."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Scope: TypeAlias = Literal["device", "group", "house"]
Window: TypeAlias = Literal["hour", "day", "month"]


@dataclass(frozen=True, slots=True)
class Cap:
    """One budget as its owner wrote it. ``name`` is a device's or a group's; "" for the house,
    or for each device, or each group, by itself."""

    scope: Scope
    window: Window
    name: str = ""
    nano: int | None = None
    """Nano-dollars; None: not limited."""
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A cap in one window of time."""

    key: str
    """As ``device/kitchen/day/2026-11-21``; the row that is counted on."""
    what: str
    """For people: ``today's budget of kitchen``."""
    ends: float
    """Unix seconds."""
    nano: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one attempt of an ask may cost at most, to be counted on every slot or on none."""

    device: str
    ask: str
    slots: tuple[Slot, ...]
    nano: int
    tokens: int
    until: float
    """Unix seconds after which nobody works at this ask any more."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """It is counted on every slot."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It would not fit this slot; nothing is counted."""

    slot: Slot


@dataclass(frozen=True, slots=True)
class Known:
    """This ask was settled before; ``payload`` is the answer that the device was sent."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another companion, which is alive, works at this ask."""


Granted: TypeAlias = Reserved | Refused | Known | Elsewhere


class PurseError(Exception):
    """The budgets cannot be read or written; the message says why."""


class Purse(Protocol):
    """Whoever keeps the budgets. One ask is one claim: what is reserved a second time by the same
    companion, for a hedge or a fallback, adds to it."""

    async def reserve(self, claim: Claim) -> Granted:
        """Raises PurseError."""
        ...

    async def settle(self, device: str, ask: str, nano: int, tokens: int, payload: bytes) -> None:
        """The ask has come to its end: what was reserved goes, what was spent is counted, and
        ``payload`` answers whoever asks again. Raises PurseError."""
        ...
