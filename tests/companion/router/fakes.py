"""Fakes that the tests of the router share: a purse and a health store in memory, a slow step."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from companion.backends.base import Answer, Backend, Request, Usage
from companion.meter.purse import Claim, Elsewhere, Granted, Known, Refused, Reserved, Slot
from companion.router import Invalid, Outcome, Rest, Router, Signal, Tab
from companion.store import HealthRow

SENTENCE = Signal(True)


def request(seconds: float = 5.0, text: str = "dance", device: str = "kitchen") -> Request:
    return Request(
        device=device,
        turn_id="t",
        text=text,
        messages=(("u", text),),
        tools=(),
        points=(),
        facts={},
        deadline=time.monotonic() + seconds,
        now=0.0,
    )


def accept(backend: Backend, answer: Answer) -> bytes:
    """The text is the payload; a lie is no valid answer."""
    if answer.say == "lie":
        raise Invalid("there is no tool 'x'")
    return (answer.say or "").encode()


def says(text: str, usage: Usage | None = None) -> Any:
    return lambda request: Answer(say=text, usage=usage or Usage(100, 20))


def raises(error: Exception) -> Any:
    def script(request: Request) -> Answer:
        raise error

    return script


async def carry_out(
    router: Router, req: Request, signal: Signal = SENTENCE, tab: Tab | None = None
) -> Outcome:
    outcome = router.run_now(router.plan(signal), signal, req, accept)
    if isinstance(outcome, Rest):
        outcome = await router.run(outcome, signal, req, accept, tab)
    return outcome


@dataclass
class FakePurse:
    """Budgets in memory, of one companion; ``delay_s`` is its database's. ``elsewhere`` are asks
    that another companion works at, ``known`` those that were answered."""

    delay_s: float = 0.0
    reserved: dict[str, int] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    claims: dict[str, list[Claim]] = field(default_factory=dict)
    settled: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    elsewhere: set[str] = field(default_factory=set)
    known: dict[str, bytes] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    error: Exception | None = None

    async def reserve(self, claim: Claim) -> Granted:
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        if claim.ask in self.known:
            return Known(self.known[claim.ask])
        if claim.ask in self.elsewhere:
            return Elsewhere()
        for slot in claim.slots:
            if slot.nano is not None and self.counted(slot.key) + claim.nano > slot.nano:
                return Refused(slot)
        for slot in claim.slots:
            self.reserved[slot.key] = self.reserved.get(slot.key, 0) + claim.nano
            self.highest[slot.key] = max(self.highest.get(slot.key, 0), self.counted(slot.key))
        self.claims.setdefault(claim.ask, []).append(claim)
        return Reserved()

    async def settle(self, device: str, ask: str, nano: int, tokens: int, payload: bytes) -> None:
        await asyncio.sleep(self.delay_s)
        claims = self.claims.get(ask, [])
        assert nano <= sum(claim.nano for claim in claims), "settled at more than was reserved"
        for claim in claims:
            for slot in claim.slots:
                self.reserved[slot.key] -= claim.nano
        for slot in claims[0].slots if claims else ():
            self.spent[slot.key] = self.spent.get(slot.key, 0) + nano
        self.settled[ask] = (nano, tokens, payload)

    def counted(self, key: str) -> int:
        """What is spent and reserved on a slot, in nano-dollars."""
        return self.spent.get(key, 0) + self.reserved.get(key, 0)


def one_slot(nano: int | None) -> Any:
    """A budget of that much for every device, today."""
    slot = Slot("house//day/1", "today's budget of the house", time.time() + 3600, nano)
    return lambda device, now: (slot,)


class FakeHealthStore:
    """The table of health in memory, shared by the routers that are given it."""

    def __init__(self) -> None:
        self.rows: dict[str, HealthRow] = {}
        self.probes: dict[str, float] = {}
        self.error: Exception | None = None

    async def load(self) -> dict[str, HealthRow]:
        if self.error is not None:
            raise self.error
        return dict(self.rows)

    async def save(self, row: HealthRow) -> None:
        self.rows[row.name] = row

    async def claim_probe(self, name: str, until: float) -> bool:
        taken = name in self.probes
        self.probes.setdefault(name, until)
        return not taken
