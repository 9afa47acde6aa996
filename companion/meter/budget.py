"""Caps, a device and a time → the slots that an answer is counted on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from companion.meter.calendar import Calendar
from companion.meter.purse import Cap, Scope, Slot, Window

__all__ = ["Budgets", "Standing"]

WINDOWS: Final[tuple[Window, ...]] = ("hour", "day", "month")
_CACHED_MAX: Final = 4096
_POSSESSIVE: Final[Mapping[Window, str]] = {
    "hour": "this hour's", "day": "today's", "month": "this month's",
}  # fmt: skip
_NOW: Final[Mapping[Window, str]] = {"hour": "this hour", "day": "today", "month": "this month"}


@dataclass(frozen=True, slots=True)
class Standing:
    """A slot, and whose it is."""

    scope: Scope
    name: str
    """Of the device or the group; "" for the house."""
    window: Window
    slot: Slot


@dataclass(frozen=True, slots=True)
class _Kept:
    begins: float
    ends: float
    slots: tuple[Slot, ...]


@dataclass(slots=True)
class Budgets:
    """The budgets of one configuration. Raises ValueError for a zone that is not known and for a
    cap on a group that is not there: it would hold nobody back."""

    caps: tuple[Cap, ...]
    groups: Mapping[str, tuple[str, ...]]
    timezone: str
    """IANA name of the house's zone; "": the machine's."""
    calendar: Calendar = field(init=False)
    _kept: dict[str, _Kept] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.calendar = Calendar(self.timezone)
        for cap in self.caps:
            if cap.scope == "group" and cap.name and cap.name not in self.groups:
                raise ValueError(f"there is a budget of the group {cap.name!r}, but no such group")

    def slots(self, device: str, now: float) -> tuple[Slot, ...]:
        """What an answer for ``device`` is counted on at ``now`` (Unix seconds): slots of the
        house, of its groups and of itself. Empty where no budget holds it.

        A cap with the name of a device takes the place of the one for each device, in its window;
        so with groups.
        Several caps on the same thing are one, the strictest of each limit.
        """
        kept = self._kept.get(device)
        if kept is None or not kept.begins <= now < kept.ends:
            kept = self._keep(device, now)
        return kept.slots

    def every(self, devices: Iterable[str], now: float) -> tuple[Standing, ...]:
        """All budgets at ``now``: the house's, those of the groups, then the devices' by name.
        ``devices`` are those that are known; a named one counts though it is not among them."""
        named = {cap.name for cap in self.caps if cap.scope == "device" and cap.name}
        found = self._of("house", "", now)
        for group in self.groups:
            found += self._of("group", group, now)
        for device in sorted(named.union(devices)):
            found += self._of("device", device, now)
        return found

    def _keep(self, device: str, now: float) -> _Kept:
        spans = [self.calendar.window(kind, now) for kind in {cap.window for cap in self.caps}]
        kept = _Kept(
            max((span.begins for span in spans), default=float("-inf")),
            min((span.ends for span in spans), default=float("inf")),
            tuple(standing.slot for standing in self._standings(device, now)),
        )
        if len(self._kept) >= _CACHED_MAX:
            self._kept.clear()
        self._kept[device] = kept
        return kept

    def _standings(self, device: str, now: float) -> tuple[Standing, ...]:
        found = self._of("house", "", now)
        for group, members in self.groups.items():
            if device in members:
                found += self._of("group", group, now)
        return found + self._of("device", device, now)

    def _of(self, scope: Scope, name: str, now: float) -> tuple[Standing, ...]:
        found = []
        for window in WINDOWS:
            caps = [c for c in self.caps if c.scope == scope and c.window == window]
            mine = [c for c in caps if c.name == name] or [c for c in caps if not c.name]
            if not mine:
                continue
            span = self.calendar.window(window, now)
            slot = Slot(
                key="/".join(part for part in (scope, name, window, span.label) if part),
                what=_what(scope, name, window),
                ends=span.ends,
                nano=min((c.nano for c in mine if c.nano is not None), default=None),
                tokens=min((c.tokens for c in mine if c.tokens is not None), default=None),
            )
            found.append(Standing(scope, name, window, slot))
        return tuple(found)


def _what(scope: Scope, name: str, window: Window) -> str:
    if scope == "house":
        return f"the house's budget of {_NOW[window]}"
    who = name if scope == "device" else f"the group {name}"
    return f"{_POSSESSIVE[window]} budget of {who}"
