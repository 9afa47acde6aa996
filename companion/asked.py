"""An ask under way, and the row that it comes to."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Protocol

from companion import wire
from companion.backends import prompt
from companion.backends.base import Request
from companion.ops.traces import NO_SPAN, Span
from companion.router import Answered, Bill, Signal, Tab
from companion.router.decide import EXPECTED_OUTPUT_TOKENS
from companion.router.sizes import Sizes
from companion.store import Row
from companion.store.row import BESIDE


class Watch(Protocol):
    """Somebody who follows a turn that he began."""

    def asked(self, device: str, turn: str, size: int) -> None:
        """``size`` bytes, topic and payload, went up in this turn."""
        ...

    def answered(self, device: str, turn: str, size: int) -> None:
        """``size`` bytes went down."""
        ...

    def recorded(self, row: Row) -> None:
        """An ask of the turn came to its end here."""
        ...


@dataclass(slots=True)
class Open:
    """An ask under way: what is needed to answer and to record it."""

    device: str
    ask: wire.Ask
    turn: str
    size: int
    began: float
    signal: Signal
    watch: Watch | None
    request: Request | None = None
    tab: Tab | None = None
    """What it has cost, once a model is to be asked."""
    task: asyncio.Task[None] | None = None
    trace: Span = NO_SPAN
    ended: bool = False
    """It has its answer, which is being counted: too late for a cancel."""


def answer_row(entry: Open, answered: Answered, sizes: Sizes, now: float) -> Row:
    """Of an ask that was answered. ``now``: Unix seconds."""
    card, answer, bill = answered.backend.card, answered.answer, answered.bill
    usage = answer.usage
    if card.needs_context:
        would_in, would_out = usage.input, usage.output
    else:
        # Calls written by a model are about as long as they are in the answer.
        would_in = _would_in(entry, sizes)
        would_out = len(answered.payload) // prompt.BYTES_PER_TOKEN
    return _row(
        entry,
        bill,
        now,
        would_in,
        would_out,
        backend=card.name,
        tier=card.tier,
        model=answer.model,
        reason=answered.reason,
        tokens_in=usage.input,
        tokens_out=usage.output,
        tokens_cached=usage.cached,
        tokens_cache_written=usage.cache_written,
        tokens_reasoning=usage.reasoning,
        estimated=int(usage.estimated or usage.suspect or bill.estimated),
        price_version="" if card.prices is None else card.prices.version,
        first_ms=-1 if answer.first_ms is None else answer.first_ms,
    )


def unanswered_row(
    entry: Open, bill: Bill, sizes: Sizes, now: float, outcome: str, err: str
) -> Row:
    """Of one that nobody answered: ``outcome`` is ``no_answer`` or ``canceled``."""
    return _row(
        entry,
        bill,
        now,
        _would_in(entry, sizes),
        EXPECTED_OUTPUT_TOKENS,
        outcome=outcome,
        err=err,
        estimated=int(bill.estimated),
    )


def beside_rows(entry: Open, bill: Bill, now: float) -> list[Row]:
    """Of its attempts that cost something and were not the answer: each counts as money of its
    backend, none as an ask."""
    return [
        Row(
            time=now,
            device=entry.device,
            ask=f"{entry.ask.id}/{other.card.name}",
            turn=entry.turn,
            speaker=entry.ask.speaker,
            backend=other.card.name,
            tier=other.card.tier,
            model=other.card.model,
            policy=entry.signal.policy,
            nano_usd=other.nano,
            price_version="" if other.card.prices is None else other.card.prices.version,
            estimated=int(other.estimated),
            outcome=BESIDE,
        )
        for other in bill.beside
    ]


def _would_in(entry: Open, sizes: Sizes) -> int:
    return 0 if entry.request is None else sizes.tokens(entry.request)


def _row(entry: Open, bill: Bill, now: float, would_in: int, would_out: int, **more: Any) -> Row:
    return Row(
        time=now,
        device=entry.device,
        ask=entry.ask.id,
        turn=entry.turn,
        speaker=entry.ask.speaker,
        policy=entry.signal.policy,
        nano_usd=bill.nano - sum(other.nano for other in bill.beside),
        queue_ms=round((bill.asked_at - entry.began) * 1000) if bill.asked_at else 0,
        ms=round((time.monotonic() - entry.began) * 1000),
        energy_mj=bill.energy_mj,
        energy_how=bill.energy_how,
        would_in=would_in,
        would_out=would_out,
        **more,
    )
