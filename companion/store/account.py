"""A batch of reservations and settlements + what the database holds → what it shall hold. Pure.

Both databases read what a batch concerns, alone in their transaction, ask ``account`` and write
what it says. The invariant: on every counter, ``reserved`` is the sum of the open claims, and
``reserved + spent`` passes a cap only where more was settled than was reserved.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from companion.meter.purse import Claim, Elsewhere, Granted, Known, Refused, Reserved, Slot
from companion.store.row import Row
from companion.wire import turn_of

GRACE_S: Final = 30.0
"""So long after its ``until`` an open claim is lost."""
ALIVE_S: Final = 5.0
"""A companion that was not heard of for so long is dead."""
UNLIMITED: Final = 2**63 - 1

Key: TypeAlias = tuple[str, str]
"""Device and ask."""
State: TypeAlias = Literal["open", "settled", "lost"]


@dataclass(frozen=True, slots=True)
class Settlement:
    """An ask has come to its end."""

    device: str
    ask: str
    nano: int
    tokens: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A row of ``claims``."""

    owner: str
    opened: float
    until: float
    state: State
    slots: dict[str, tuple[int, int]]
    nano: int
    tokens: int
    payload: bytes | None = None
    settled_at: float | None = None


@dataclass(slots=True)
class Change:
    """What is added to a counter, and the caps that its sums must keep then."""

    ends: float = 0.0
    nano_reserved: int = 0
    nano_spent: int = 0
    tokens_reserved: int = 0
    tokens_spent: int = 0
    nano_cap: int = UNLIMITED
    tokens_cap: int = UNLIMITED
    reserved_on: bool = False


@dataclass(slots=True)
class Work:
    """A batch."""

    me: str
    now: float
    rows: list[Row] = field(default_factory=list)
    reserves: list[Claim] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    sweep: bool = False
    """Look for claims that nobody settled."""
    beat: bool = False
    """Say that this companion lives."""
    trusting: bool = False
    """Take every owner for alive: the database was away, and they could not say."""

    @property
    def ledger(self) -> bool:
        """Whether there is more to it than rows."""
        return bool(self.reserves or self.settlements or self.sweep or self.beat)

    def asks(self) -> list[Key]:
        return [(s.device, s.ask) for s in self.settlements] + [
            (c.device, c.ask) for c in self.reserves
        ]

    def slots(self) -> set[str]:
        return {slot.key for claim in self.reserves for slot in claim.slots}


@dataclass(slots=True)
class Books:
    """What the database holds of what a batch concerns."""

    claims: dict[Key, Held]
    used: dict[str, tuple[int, int]]
    """Of each slot that is to be reserved on: nano-dollars and tokens, reserved and spent. One
    that is not there has no counter yet."""
    alive: frozenset[str] = frozenset()
    """Companions whose heart beats."""


@dataclass(slots=True)
class Entries:
    """What comes of a batch."""

    granted: list[Granted] = field(default_factory=list)
    """One for each of ``Work.reserves``."""
    claims: dict[Key, Held] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    lost: list[Row] = field(default_factory=list)
    found: list[Key] = field(default_factory=list)
    """Asks that were lost and are not any more."""
    late: list[Key] = field(default_factory=list)
    """Asks that were settled by who no longer held them."""


def account(work: Work, books: Books) -> Entries:
    """Settlements first, since they make room. ``books`` is used up."""
    entries = Entries()
    account = _Account(work, books, entries)
    for settlement in work.settlements:
        account.settle(settlement)
    if work.sweep:
        account.sweep()
    for claim in work.reserves:
        entries.granted.append(account.reserve(claim))
    return entries


class _Account:
    def __init__(self, work: Work, books: Books, entries: Entries) -> None:
        self.me, self.now, self.trusting = work.me, work.now, work.trusting
        self.books = books
        self.entries = entries

    def reserve(self, claim: Claim) -> Granted:
        key = (claim.device, claim.ask)
        held = self.books.claims.get(key)
        slots: dict[str, tuple[int, int]] = {}
        opened, until, nano, tokens = self.now, claim.until, claim.nano, claim.tokens
        if held is not None:
            if held.state == "settled":
                return Known(held.payload or b"")
            if held.state == "lost":
                self.entries.found.append(key)
            elif held.owner == self.me:
                slots, opened, until = dict(held.slots), held.opened, max(held.until, until)
                nano, tokens = nano + held.nano, tokens + held.tokens
            elif self._lives(held.owner):
                return Elsewhere()
            else:
                # Its owner is dead: what that had reserved goes before ours comes.
                for name, (n, t) in held.slots.items():
                    self._count(name, nano_reserved=-n, tokens_reserved=-t)
                self._put(key, Held(self.me, self.now, until, "open", {}, 0, 0))
        tight = self._tight(claim)
        if tight is not None:
            return Refused(tight)
        for slot in claim.slots:
            change = self._count(slot.key, nano_reserved=claim.nano, tokens_reserved=claim.tokens)
            _guard(change, slot)
            n, t = slots.get(slot.key, (0, 0))
            slots[slot.key] = (n + claim.nano, t + claim.tokens)
        self._put(key, Held(self.me, opened, until, "open", slots, nano, tokens))
        return Reserved()

    def settle(self, settlement: Settlement) -> None:
        key = (settlement.device, settlement.ask)
        held = self.books.claims.get(key)
        if held is None:
            held = Held(self.me, self.now, self.now, "open", {}, 0, 0)
        nano, tokens = settlement.nano, settlement.tokens
        if held.owner != self.me:
            # Taken over while it could not say that it lived. The money is spent all the same.
            self.entries.late.append(key)
            for name in held.slots:
                self._count(name, nano_spent=nano, tokens_spent=tokens)
            return
        if held.state == "settled":
            return  # It was written, and only the word of it was lost.
        if held.state == "lost":
            self.entries.found.append(key)
        slots = {}
        for name, (n, t) in held.slots.items():
            spent = _share(nano, held.nano, n), _share(tokens, held.tokens, t)
            slots[name] = spent
            if held.state == "open":
                self._count(name, -n, spent[0], -t, spent[1])
            else:
                self._count(name, 0, spent[0] - n, 0, spent[1] - t)
        self._put(
            key,
            Held(
                self.me,
                held.opened,
                held.until,
                "settled",
                slots,
                nano,
                tokens,
                settlement.payload,
                self.now,
            ),
        )

    def sweep(self) -> None:
        """What nobody settled counts whole: it may have been billed."""
        for key, held in list(self.books.claims.items()):
            over = held.state == "open" and held.until + GRACE_S < self.now
            if over and (held.owner == self.me or not self._lives(held.owner)):
                for name, (n, t) in held.slots.items():
                    self._count(name, -n, n, -t, t)
                self._put(key, replace(held, state="lost", settled_at=self.now))
                self.entries.lost.append(_lost_row(key, held))

    def _lives(self, owner: str) -> bool:
        return self.trusting or owner in self.books.alive

    def _tight(self, claim: Claim) -> Slot | None:
        """The first slot that the claim does not fit."""
        for slot in claim.slots:
            nano, tokens = self.books.used.get(slot.key, (0, 0))
            if slot.nano is not None and nano + claim.nano > slot.nano:
                return slot
            if slot.tokens is not None and tokens + claim.tokens > slot.tokens:
                return slot
        return None

    def _count(
        self,
        name: str,
        nano_reserved: int = 0,
        nano_spent: int = 0,
        tokens_reserved: int = 0,
        tokens_spent: int = 0,
    ) -> Change:
        change = self.entries.changes.get(name)
        if change is None:
            change = self.entries.changes[name] = Change()
        change.nano_reserved += nano_reserved
        change.nano_spent += nano_spent
        change.tokens_reserved += tokens_reserved
        change.tokens_spent += tokens_spent
        nano, tokens = self.books.used.get(name, (0, 0))
        self.books.used[name] = (
            nano + nano_reserved + nano_spent,
            tokens + tokens_reserved + tokens_spent,
        )
        return change

    def _put(self, key: Key, held: Held) -> None:
        self.books.claims[key] = held
        self.entries.claims[key] = held


def _guard(change: Change, slot: Slot) -> None:
    """The database holds the counter to the cap too. Where a batch knows two, as while a
    configuration changes, the wider."""
    nano = UNLIMITED if slot.nano is None else slot.nano
    tokens = UNLIMITED if slot.tokens is None else slot.tokens
    if change.reserved_on:
        nano, tokens = max(nano, change.nano_cap), max(tokens, change.tokens_cap)
    change.nano_cap, change.tokens_cap = nano, tokens
    change.ends = max(change.ends, slot.ends)
    change.reserved_on = True


def _share(spent: int, reserved: int, here: int) -> int:
    """What of ``spent`` counts in a window where ``here`` of all that was ``reserved`` is: attempts
    before and after midnight are reserved on two days, and neither is overspent for the other.
    More than was reserved counts whole: it is spent."""
    return spent if spent > reserved else min(spent, here)


def _lost_row(key: Key, held: Held) -> Row:
    device, ask = key
    return Row(
        time=held.until,
        device=device,
        ask=ask,
        turn=turn_of(ask),
        nano_usd=held.nano,
        tokens_in=held.tokens,
        estimated=1,
        outcome="lost",
        err="the companion that answered it was gone before it said what it cost",
    )


def dump_slots(slots: dict[str, tuple[int, int]]) -> str:
    return json.dumps(slots, separators=(",", ":"))


def load_slots(text: str) -> dict[str, tuple[int, int]]:
    return {name: (nano, tokens) for name, (nano, tokens) in json.loads(text).items()}


def sorted_changes(changes: dict[str, Change]) -> list[tuple[str, Change]]:
    """Those that change anything, in an order that is the same for everybody."""
    return [
        (name, c)
        for name, c in sorted(changes.items(), key=lambda change: change[0])
        if c.nano_reserved or c.nano_spent or c.tokens_reserved or c.tokens_spent
    ]
