"""What stands before an attempt: money is reserved, and a probe is for one companion alone."""

import asyncio
import logging
import time
from typing import Final

from companion.backends.base import Card, Request
from companion.meter.purse import (
    Claim,
    Elsewhere,
    Granted,
    Known,
    Purse,
    PurseError,
    Refused,
    Reserved,
)
from companion.router.decide import TOO_LITTLE
from companion.router.health import HealthStore
from companion.router.parts import Parts
from companion.router.tab import Most, Tab
from companion.store import Away

log = logging.getLogger(__name__)

RESERVE_S: Final = 2.0
"""How long the budgets may take to say yes or no."""
ELSEWHERE_S: Final = 0.2
"""How often another companion's answer is asked for."""
SETTLE_S: Final = 5.0
"""A claim lives on for so long after the deadline, for its settling."""
SPENT_S: Final = 60.0
"""How long a budget that refused is taken for spent."""


class Gate:
    """The gate of one ask."""

    def __init__(self, parts: Parts, request: Request, tab: Tab, turned: str) -> None:
        """``turned``: which budget has turned the plan away from backends with a price already,
        "" when none has."""
        self.turned = turned
        self._parts = parts
        self._request = request
        self._tab = tab
        self._refused_nano: int | None = None
        self._refused = ""

    def bars(self, most: Most) -> str:
        """Why an attempt that can cost so much need not be tried, "" when it may: something
        that costs no more was refused."""
        if self._refused_nano is None or most.nano < self._refused_nano:
            return ""
        return self._refused

    def stands(self, card: Card) -> bool:
        """Whether there is anything to wait for."""
        return self._pays(card) or self._probes(card)

    async def passes(self, card: Card, most: Most, until: float, least: bool) -> str | Known:
        """ "" when the attempt may begin, else why it may not; Known when the ask is answered
        already. ``until``: monotonic seconds that it takes at most; ``least``: nobody of the plan
        costs less, so that a budget with no room for this one has room for nobody."""
        store, purse = self._parts.store, self._parts.purse
        if store is not None and self._probes(card):
            left_s = max(self._request.deadline - time.monotonic(), 0.0)
            if not await _is_first(store, card.name, self._parts.clock() + left_s):
                self._parts.health.breaker(card.name).probing_elsewhere(self._parts.clock())
                return "another companion is trying it now"
        if purse is None or not self._pays(card):
            return ""
        try:
            granted = await self._reserve(purse, most, until)
        except PurseError as error:
            if not self._parts.slots_of(self._request.device):
                return ""  # Nobody set a budget: nothing can be overspent.
            self.turned = self.turned or "the budgets cannot be read"
            return self._refuse(0, f"budgets cannot be read: {error}")
        if isinstance(granted, Known):
            return granted
        if isinstance(granted, Elsewhere):
            return self._refuse(0, "another companion is at this ask")
        if isinstance(granted, Refused):
            slot = granted.slot
            self.turned = f"{slot.what} {TOO_LITTLE}"
            if least:
                until_s = min(slot.ends, self._parts.clock() + SPENT_S)
                self._parts.spent[slot.key] = (until_s, slot.what)
            return self._refuse(most.nano, self.turned)
        return ""

    def _pays(self, card: Card) -> bool:
        return card.prices is not None and self._parts.purse is not None

    def _probes(self, card: Card) -> bool:
        return self._parts.store is not None and self._parts.health.breaker(card.name).until > 0

    def _refuse(self, nano: int, reason: str) -> str:
        self._refused_nano, self._refused = nano, reason
        return reason

    async def _reserve(self, purse: Purse, most: Most, until: float) -> Granted:
        """What the purse says; while another companion is at this ask, until that has ended.
        Raises PurseError."""
        deadline = self._request.deadline
        now = self._parts.clock()
        claim = Claim(
            self._request.device,
            self._tab.ask,
            self._parts.slots_of(self._request.device),
            most.nano,
            most.tokens,
            now + max(deadline - time.monotonic(), 0.0) + SETTLE_S,
        )
        while True:
            before = self._tab.claimed
            # Cut short from here on, it may have been counted or not: then it is to be settled.
            self._tab.claimed = True
            try:
                granted = await _bounded(purse, claim, until - time.monotonic())
            except PurseError:
                self._tab.claimed = before
                raise
            self._tab.claimed = before or isinstance(granted, Reserved)
            if not isinstance(granted, Elsewhere) or time.monotonic() + ELSEWHERE_S >= until:
                return granted
            await asyncio.sleep(ELSEWHERE_S)


async def _bounded(purse: Purse, claim: Claim, left_s: float) -> Granted:
    try:
        async with asyncio.timeout(min(RESERVE_S, max(left_s, 0.0))):
            return await purse.reserve(claim)
    except TimeoutError:
        raise PurseError("they did not answer in time") from None


async def _is_first(store: HealthStore, name: str, until: float) -> bool:
    try:
        async with asyncio.timeout(RESERVE_S):
            return await store.claim_probe(name, until)
    except Exception as error:
        # Better two probes than none.
        level = logging.DEBUG if isinstance(error, Away) else logging.WARNING
        log.log(level, "whether others try %s cannot be read: %s", name, error)
        return True
