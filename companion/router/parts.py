"""What every run of one router uses."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from companion.backends.base import BackendError, Card, Declined
from companion.meter.purse import Purse, Slot
from companion.router.health import Health, HealthStore
from companion.router.outcome import Attempt, Invalid

log = logging.getLogger(__name__)


class Span(Protocol):
    """One attempt, as whoever measures energy sees it."""

    def end(self, tokens: int) -> tuple[int, str]:
        """Millijoules and ``measured``, ``estimated`` or ""."""
        ...


class Energy(Protocol):
    """Whoever measures energy (``meter.energy.Energy``)."""

    def begin(self, card: Card) -> Span:
        """An attempt begins."""
        ...


def _nobody(name: str, code: str) -> None:
    """Nobody counts."""


@dataclass(slots=True)
class Parts:
    """``clock`` gives Unix seconds; ``slots``: (device, Unix seconds) → its budgets; ``store`` is
    where health is shared."""

    health: Health
    clock: Callable[[], float]
    purse: Purse | None = None
    slots: Callable[[str, float], tuple[Slot, ...]] | None = None
    store: HealthStore | None = None
    energy: Energy | None = None
    counted: Callable[[str, str], None] = _nobody
    """Told of each attempt: the backend's name, and ``answered`` or the code of its failure."""
    spent: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Key of a slot that refused → until when that is taken for granted, and what it is."""

    def slots_of(self, device: str) -> tuple[Slot, ...]:
        """The budgets of a device now."""
        return () if self.slots is None else self.slots(device, self.clock())


def problem(name: str, error: Exception) -> Attempt:
    """What failed, for people; a fault of ours goes to the log."""
    if isinstance(error, Declined):
        return Attempt(name, "declined", error.reason)
    if isinstance(error, Invalid):
        log.info("%s gave an answer that cannot be used: %s", name, error)
        return Attempt(name, "invalid", f"its answer could not be used ({error})")
    if isinstance(error, BackendError):
        log.info("%s: %s: %s", name, error.code, error.msg)
        return Attempt(name, error.code, error.msg)
    log.error("%s failed by a fault of ours", name, exc_info=error)
    return Attempt(name, "internal", f"a fault of ours ({type(error).__name__})")
