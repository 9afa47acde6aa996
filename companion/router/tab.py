"""What one ask has cost so far: known, or the most it can be while nobody has told."""

from dataclasses import dataclass, field
from typing import Final

from companion.backends.base import Answer, BackendError, Card, Declined
from companion.meter import cost_nano_usd, most_nano_usd
from companion.ops.traces import NO_SPAN, Span
from companion.router.outcome import FREE, Beside, Bill

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
    _tokens: int = 0
    _energy_mj: int = 0
    _energy_how: str = ""
    _open: dict[object, tuple[Card, Most]] = field(default_factory=dict)
    _spent: dict[object, Beside] = field(default_factory=dict)

    def begin(self, key: object, card: Card, most: Most) -> None:
        """An attempt begins; until it is told otherwise it costs the most."""
        if most.nano or most.tokens:
            self._open[key] = card, most

    def answered(self, key: object, card: Card, answer: Answer, busy_ms: int) -> None:
        """It sent an answer, whatever that is worth. Held to the bound that was reserved, so
        that a provider's count can never overspend a budget."""
        if key not in self._open:
            return
        _, most = self._open.pop(key)
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
        estimated = usage.estimated or usage.suspect or over
        self._spent[key] = Beside(card, min(nano, most.nano), estimated)
        self._tokens += min(tokens, most.tokens)

    def failed(self, key: object, error: Exception) -> None:
        """It ended without an answer."""
        if is_billed(error):
            self.lost(key)
        else:
            self._open.pop(key, None)

    def lost(self, key: object) -> None:
        """It was given up: what it cost nobody will tell."""
        if key in self._open:
            card, most = self._open.pop(key)
            self._spent[key] = Beside(card, most.nano, True)
            self._tokens += most.tokens

    def used(self, energy_mj: int, how: str) -> None:
        """Energy that an attempt took."""
        self._energy_mj += energy_mj
        if how:
            # One guess among measurements makes the sum a guess.
            self._energy_how = "estimated" if "estimated" in (how, self._energy_how) else how

    def bill(self, answer: object = None) -> Bill:
        """What it comes to now; what still runs at the most. ``answer``: the attempt whose answer
        it was."""
        running = {k: Beside(card, most.nano, True) for k, (card, most) in self._open.items()}
        spent = {**self._spent, **running}
        bill = Bill(
            sum(one.nano for one in spent.values()),
            self._tokens + sum(most.tokens for _, most in self._open.values()),
            self.claimed,
            any(one.estimated for one in spent.values()),
            self.asked_at,
            self._energy_mj,
            self._energy_how,
            tuple(one for key, one in spent.items() if key is not answer and one.nano),
        )
        return FREE if bill == FREE else bill
