"""What one ask has cost so far: known, or the most it can be while nobody has told."""

from dataclasses import dataclass, field
from typing import Final

from companion.backends.base import Answer, BackendError, Card, Declined
from companion.meter import cost_nano_usd, most_nano_usd
from companion.ops.traces import NO_SPAN, Span
from companion.router.outcome import FREE, Bill

_NOT_BILLED: Final = frozenset(
    {"auth", "not_found", "bad_request", "rate_limit", "server", "declined"}
)
"""Refused by a status, before anything was made of it: no provider bills that."""


@dataclass(frozen=True, slots=True)
class Most:
    """The most that one attempt can come to."""

    nano: int = 0
    tokens: int = 0


def most_of(card: Card, input_tokens: int, busy_ms: int) -> Most:
    """The bound of an attempt with a prompt of at most ``input_tokens``, given ``busy_ms`` at
    most. Nothing for a backend without a price."""
    if card.prices is None:
        return Most()
    nano = most_nano_usd(card.prices, input_tokens, card.output_tokens, busy_ms=busy_ms)
    return Most(nano, input_tokens + card.output_tokens)


def is_billed(error: Exception) -> bool:
    """Whether an attempt that ended so may be on the provider's bill. Where nobody knows, it
    is."""
    if isinstance(error, Declined):
        return False
    if isinstance(error, BackendError):
        return error.sent and error.code not in _NOT_BILLED
    return True


@dataclass(slots=True)
class Tab:
    """The running account of one ask. ``ask`` is its id, as the device sent it."""

    ask: str
    claimed: bool = False
    asked_at: float = 0.0
    trace: Span = NO_SPAN
    """The ask's span; attempts go below it."""
    _nano: int = 0
    _tokens: int = 0
    _estimated: bool = False
    _energy_mj: int = 0
    _energy_how: str = ""
    _open: dict[object, Most] = field(default_factory=dict)

    def begin(self, key: object, most: Most) -> None:
        """An attempt begins; until it is told otherwise it costs the most."""
        if most.nano or most.tokens:
            self._open[key] = most

    def answered(self, key: object, card: Card, answer: Answer, busy_ms: int) -> None:
        """It sent an answer, whatever that is worth. Held to the bound that was reserved, so
        that a provider's count can never overspend a budget."""
        most = self._open.pop(key, None)
        if most is None:
            return
        usage = answer.usage
        nano = cost_nano_usd(
            card.prices,
            usage.input,
            usage.output,
            usage.cached,
            cache_written_tokens=usage.cache_written,
            busy_ms=busy_ms,
        )
        tokens = usage.input + usage.output
        over = nano > most.nano or tokens > most.tokens
        self._nano += min(nano, most.nano)
        self._tokens += min(tokens, most.tokens)
        self._estimated |= usage.estimated or usage.suspect or over

    def failed(self, key: object, error: Exception) -> None:
        """It ended without an answer."""
        most = self._open.pop(key, None)
        if most is not None and is_billed(error):
            self._lose(most)

    def lost(self, key: object) -> None:
        """It was given up: what it cost nobody will tell."""
        most = self._open.pop(key, None)
        if most is not None:
            self._lose(most)

    def used(self, energy_mj: int, how: str) -> None:
        """Energy that an attempt took."""
        self._energy_mj += energy_mj
        if how:
            # One guess among measurements makes the sum a guess.
            self._energy_how = "estimated" if "estimated" in (how, self._energy_how) else how

    def bill(self) -> Bill:
        """What it comes to now; what still runs at the most."""
        nano = self._nano + sum(most.nano for most in self._open.values())
        tokens = self._tokens + sum(most.tokens for most in self._open.values())
        bill = Bill(
            nano,
            tokens,
            self.claimed,
            self._estimated or bool(self._open),
            self.asked_at,
            self._energy_mj,
            self._energy_how,
        )
        return FREE if bill == FREE else bill

    def _lose(self, most: Most) -> None:
        self._nano += most.nano
        self._tokens += most.tokens
        self._estimated = True
