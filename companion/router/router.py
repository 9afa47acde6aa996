"""Holds the backends, what is known of their health, and the plans made of both."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from companion.backends.base import Backend, BackendError, Declined, Request
from companion.config.model import Policy, RouterConfig
from companion.meter.purse import Purse, PurseError, Slot
from companion.router.crew import Crew
from companion.router.decide import TOO_LITTLE, Candidate, Plan, Signal, Snapshot, decide
from companion.router.health import Health, HealthStore
from companion.router.outcome import (
    Accept,
    Answered,
    Attempt,
    Bill,
    Needs,
    NoAnswer,
    Outcome,
    Rest,
    no_answer_text,
)
from companion.router.parts import Energy, Parts, problem
from companion.router.rules import Settings, minutes_in, settings_for
from companion.router.run import Course
from companion.router.tab import Tab
from companion.store import Away

log = logging.getLogger(__name__)

SNAPSHOT_S: Final = 1.0
"""How long a snapshot holds while no breaker changes: latencies change with every answer, and
plans are kept as long as it does."""
SHARE_S: Final = 1.0
"""How often breakers and histograms are shared with other companions."""
_PLANS_KEPT: Final = 1024


class Router:
    """``decide`` on what there is, and carrying it out.

    ``purse`` and ``slots`` keep the budgets: (device, Unix seconds) → what an answer is counted
    on. ``health`` is where breakers and latencies are kept and shared. ``clock`` gives Unix
    seconds, ``minutes`` turns them into minutes of the local day. ``counted`` is told of each
    attempt: the backend's name, and ``answered`` or the code of its failure. Raises ValueError
    when two backends have the same name.
    """

    def __init__(
        self,
        backends: Sequence[Backend],
        config: RouterConfig | None = None,
        *,
        groups: Mapping[str, tuple[str, ...]] | None = None,
        purse: Purse | None = None,
        slots: Callable[[str, float], tuple[Slot, ...]] | None = None,
        health: HealthStore | None = None,
        energy: Energy | None = None,
        counted: Callable[[str, str], None] | None = None,
        clock: Callable[[], float] = time.time,
        minutes: Callable[[float], int] | None = None,
    ) -> None:
        self.health = Health()
        self._parts = Parts(self.health, clock, purse, slots, health, energy)
        if counted is not None:
            self._parts.counted = counted
        self._clock = clock
        self._minutes = minutes or minutes_in("")
        self._plans: dict[Signal, Plan] = {}
        self._settings: dict[tuple[str, Policy | None], Settings] = {}
        self._settings_of = -1
        self._unshared = False
        self._sharing: asyncio.Task[None] | None = None
        self._live: list[Crew] = []
        self._begin(Crew(backends, config or RouterConfig(), groups or {}))

    def _begin(self, crew: Crew) -> None:
        self._crew = crew
        self._live.append(crew)
        self.backends = crew.backends
        self.models = crew.models
        """How many of the backends read the conversation."""
        self.needs_context = crew.models > 0
        """Whether any does."""
        self._settings.clear()
        self._refresh()

    def replace(
        self,
        backends: Sequence[Backend],
        config: RouterConfig,
        *,
        groups: Mapping[str, tuple[str, ...]] | None = None,
        slots: Callable[[str, float], tuple[Slot, ...]] | None = None,
        minutes: Callable[[float], int] | None = None,
    ) -> None:
        """Others from here on, all at once. What runs goes on with the old ones, which are closed
        when the last of it has ended; one that is among the new ones, too, stays open. Keys may
        have been mended, so none is held against a backend any more. Raises ValueError, and
        leaves all as it was."""
        crew = Crew(backends, config, groups or {})
        old = self._crew
        self._parts.slots = slots
        self._parts.spent.clear()
        self._minutes = minutes or self._minutes
        self.health.forgive(self._clock())
        self._begin(crew)
        old.retire(self._live)

    # -- planning

    def settings(self, device: str, policy: Policy | None = None) -> Settings:
        """What holds for an ask of ``device`` now, with the policy that its request asked for."""
        crew = self._crew
        minute = self._minutes(self._clock()) if crew.config.rules else 0
        if minute != self._settings_of or len(self._settings) > _PLANS_KEPT:
            self._settings.clear()
            self._settings_of = minute
        key = (device if crew.config.rules else "", policy)
        settings = self._settings.get(key)
        if settings is None:
            settings = settings_for(crew.config, crew.groups, device, minute, policy)
            self._settings[key] = settings
        return settings

    def spent(self, device: str) -> str:
        """Which budget of ``device`` is known to have too little left, as ``Signal.spent``."""
        spent, slots = self._parts.spent, self._parts.slots
        if not spent or slots is None:
            return ""
        now = self._clock()
        for key in [key for key, (until, _) in spent.items() if until <= now]:
            del spent[key]
        for slot in slots(device, now):
            if slot.key in spent:
                return f"{slot.what} {TOO_LITTLE}"
        return ""

    def slots_of(self, device: str) -> tuple[Slot, ...]:
        """The budgets of ``device`` now."""
        return self._parts.slots_of(device)

    def snapshot(self) -> Snapshot:
        """The backends as they are now."""
        now = self._clock()
        config = self._crew.config
        candidates = []
        for backend in self._crew.backends:
            card = backend.card
            p95_ms, measured = self.health.p95_ms(card, now)
            why = self.health.breaker(card.name).why(now)
            candidates.append(Candidate(card, p95_ms, measured, why))
        return Snapshot(tuple(candidates), config.target_ms, config.min_quality)

    def plan(self, signal: Signal) -> Plan:
        """``decide`` on the present snapshot; plans are kept while that is the same."""
        now = self._clock()
        fresh = self._fresh_from <= now < self._fresh_until
        if not fresh or self._version != self.health.version:
            self._refresh()
        plan = self._plans.get(signal)
        if plan is None:
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[signal] = decide(signal, self._snapshot)
        return plan

    def _refresh(self) -> None:
        self._snapshot = self.snapshot()
        self._plans.clear()
        self._version = self.health.version
        self._fresh_from = now = self._clock()
        self._fresh_until = now + SNAPSHOT_S
        for backend in self._crew.backends:
            until = self.health.breaker(backend.card.name).until
            if now < until < self._fresh_until:
                self._fresh_until = until

    # -- carrying it out

    def run_now(
        self, plan: Plan, signal: Signal, request: Request, accept: Accept
    ) -> Outcome | Rest:
        """Ask the fast backends at the head of the plan, in place. A Rest is for ``run``."""
        crew = self._crew
        attempts: list[Attempt] = []
        for at, step in enumerate(plan.steps):
            if step.missing:
                return Needs(step.missing)
            fast = crew.fast.get(step.name)
            if fast is None:
                return Rest(plan, at, tuple(attempts), crew)
            backend = crew.by_name[step.name]
            try:
                answer = fast.answer_now(request)
                payload = accept(backend, answer)
            except Exception as error:
                attempt = problem(step.name, error)
                attempts.append(attempt)
                self._parts.counted(step.name, attempt.code)
            else:
                self._parts.counted(step.name, "answered")
                return Answered(backend, answer, payload, tuple(attempts), reason=step.reason)
        return NoAnswer(
            no_answer_text(signal, plan.verdicts, attempts, crew.models), tuple(attempts)
        )

    def takes(self, plan: Plan, request: Request) -> str | None:
        """The fast backend at the head of the plan that understands this request, None when a
        model would be asked. Nothing is done: its answer goes nowhere."""
        for step in plan.steps:
            fast = self._crew.fast.get(step.name)
            if fast is None:
                return None
            with contextlib.suppress(Declined, BackendError):
                fast.answer_now(request)
                return step.name
        return None

    async def run(
        self, rest: Rest, signal: Signal, request: Request, accept: Accept, tab: Tab | None = None
    ) -> Outcome:
        """Ask the others, within ``request.deadline``. Never raises but for cancellation; what
        it has cost by then is on ``tab``."""
        if rest.crew.closed:
            # Replaced before this began.
            again = self.run_now(self.plan(signal), signal, request, accept)
            if not isinstance(again, Rest):
                return again
            rest = again
        tab = tab or Tab(request.turn_id)
        turned = self._turned(signal, rest)
        return await Course(self._parts, rest, signal, request, accept, tab, turned).go()

    def _turned(self, signal: Signal, rest: Rest) -> str:
        """``signal.spent``, where a backend with a price would be asked first without it."""
        if not signal.spent:
            return ""
        for step in self.plan(signal._replace(spent="")).steps:
            backend = rest.crew.by_name.get(step.name)
            if backend is not None and backend.card.needs_context:
                return signal.spent if backend.card.prices is not None else ""
        return ""

    async def settle(self, device: str, ask: str, bill: Bill, payload: bytes) -> None:
        """The ask has come to its end; ``payload`` answers it from now on. What could not be
        settled now the purse keeps and tells."""
        purse = self._parts.purse
        if purse is None or not bill.claimed:
            return
        try:
            await purse.settle(device, ask, bill.nano, bill.tokens, payload)
        except PurseError as error:
            log.debug("what an ask of %s cost is counted later: %s", device, error)
        # What it did not need is there again for others.
        self._parts.spent.clear()

    # -- its life

    @property
    def problems(self) -> list[str]:
        """What only the operator can mend, for ``/healthz``."""
        return self.health.problems

    async def open(self) -> None:
        """Read what was known before, and share what is learnt from now on."""
        store = self._parts.store
        if store is None or self._sharing is not None:
            return
        await self._share(store)
        self._sharing = asyncio.create_task(self._keep_sharing(store))

    async def _keep_sharing(self, store: HealthStore) -> None:
        while True:
            await asyncio.sleep(SHARE_S)
            await self._share(store)

    async def _share(self, store: HealthStore) -> None:
        try:
            await self.health.share(store, self._clock())
        except Away as error:
            log.debug("the health of backends is shared later: %s", error)
        except Exception as error:
            # By what is known here the router goes on.
            if not self._unshared:
                log.warning("the health of backends cannot be shared: %s", error)
            self._unshared = True
        else:
            self._unshared = False

    async def aclose(self) -> None:
        """Share what was learnt, close every backend."""
        if self._sharing is not None:
            self._sharing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sharing
            self._sharing = None
            store = self._parts.store
            if store is not None:
                await self._share(store)
        for crew in self._live:
            await crew.aclose()
