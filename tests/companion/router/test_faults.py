"""Whatever a provider does, over real HTTP: an answer or a refusal before the deadline."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from companion.accept import acceptor
from companion.backends.base import Answer, Backend, Card, Prices
from companion.backends.openai import OpenAIBackend
from companion.router import Answered, NoAnswer, Outcome, Rest, Router, Signal, Tab, deadline_of
from companion.toolset import ToolSpec, build
from tests.companion.conftest import SPECS, Model
from tests.companion.router.fakes import FakePurse, one_slot, request
from tests.companion.scripted_upstream import ScriptedUpstream

PRICES = Prices.per_million(1, 2)
TOOLSET = build(
    "t",
    [ToolSpec(s["name"], s["desc"], s["args"], s["acts"]) for s in SPECS],  # type: ignore[arg-type]
    "test",
)
ACCEPT = acceptor("a.1", TOOLSET)
ASK_MS = 1700
"""What the device gives; the way to it is kept back of that."""
NANO = 20_000_000

HALF = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "half of it"}}]}

FAULTS: dict[str, dict[str, Any]] = {
    "hangs": {"hang_s": 20},
    "slow, ten times its p95": {"text": "late", "delay_s": 1.0},
    "errs": {"status": 500},
    "rate-limited": {"status": 429, "retry_after_s": 30},
    "refuses the key": {"status": 401},
    "lies about usage": {"text": "hi", "usage": {"prompt_tokens": 10**8, "completion_tokens": 1}},
    "bad JSON": {"body": '{"choices": [{"mess'},
    "bad arguments": {"calls": [("gpio_write", '{"pin": 5, "lev')]},
    "unknown tool": {"calls": [("open_door", {})]},
    "wrong arguments": {"calls": [("gpio_write", {"pin": 5, "level": 7})]},
    "cut": {"text": "half of it", "cut": True, "stream": [HALF]},
    "nothing": {"text": ""},
    "html": {"body": "<html>Welcome</html>", "content_type": "text/html"},
}


ANSWERS_ALL_THE_SAME = ("slow, ten times its p95", "lies about usage")


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


async def ask(router: Router, n: int, signal: Signal) -> tuple[Outcome, float]:
    """One ask, settled as the turn does it, and how long it took."""
    began = time.monotonic()
    req = request(deadline_of(0, ASK_MS), device=f"d{n}")
    outcome = router.run_now(router.plan(signal), signal, req, ACCEPT)
    if isinstance(outcome, Rest):
        outcome = await router.run(outcome, signal, req, ACCEPT, Tab(f"a{n}.1"))
    took_s = time.monotonic() - began
    if isinstance(outcome, Answered | NoAnswer):
        await router.settle(req.device, f"a{n}.1", outcome.bill, b"x")
    return outcome, took_s


def provider(upstream: ScriptedUpstream, stream: bool) -> OpenAIBackend:
    card = Card("far", model="m", prices=PRICES, quality=90, typical_ms=100, output_tokens=300)
    return OpenAIBackend(card, upstream.url, stream=stream)


@pytest.mark.parametrize(
    ("stream", "house"), [(False, True), (True, False)], ids=["whole", "streamed, alone"]
)
@pytest.mark.parametrize("fault", FAULTS, ids=list(FAULTS))
async def test_a_fault_is_over_before_the_deadline(
    upstream: ScriptedUpstream, fault: str, stream: bool, house: bool
) -> None:
    asks = 10
    behaviour = dict(FAULTS[fault])
    if not stream:
        behaviour.pop("stream", None)
    upstream.script([behaviour] * asks)
    far = provider(upstream, stream)
    home = Model(
        "home", lambda request: Answer(say="hi"), 0.02, prices=None, local=True, quality=10,
        tier="edge",
    )  # fmt: skip
    backends: list[Backend] = [far, home] if house else [far]
    purse = FakePurse()
    router = Router(backends, purse=purse, slots=one_slot(NANO))
    signal = Signal(True, policy="best")
    results = await asyncio.gather(*(ask(router, n, signal) for n in range(asks)))
    await router.aclose()

    assert max(took_s for _, took_s in results) < ASK_MS / 1000
    outcomes = [outcome for outcome, _ in results if isinstance(outcome, Answered | NoAnswer)]
    assert len(outcomes) == asks
    by = {o.backend.card.name if isinstance(o, Answered) else "nobody" for o in outcomes}
    if fault in ANSWERS_ALL_THE_SAME and not house:
        assert "far" in by
    else:
        assert by <= ({"home", "far"} if fault in ANSWERS_ALL_THE_SAME else {"home", "nobody"})
        assert ("nobody" in by) is not house
    assert purse.highest["house//day/1"] <= NANO
    assert purse.reserved["house//day/1"] == 0
    assert purse.spent["house//day/1"] == sum(outcome.bill.nano for outcome in outcomes)


@pytest.mark.parametrize("fault", ["errs", "hangs", "bad JSON"])
async def test_a_broken_provider_is_soon_left_alone_and_found_again(
    upstream: ScriptedUpstream, fault: str
) -> None:
    upstream.script([FAULTS[fault]] * 3 + [{"text": "well again"}])
    now = [1_000_000.0]
    home = Model("home", lambda request: Answer(say="hi"), prices=None, local=True, quality=10)
    router = Router([provider(upstream, False), home], clock=lambda: now[0])
    signal = Signal(True, policy="best")
    for n in range(6):
        outcome, _ = await ask(router, n, signal)
        assert isinstance(outcome, Answered) and outcome.backend is home
    assert len(upstream.requests) == 3
    now[0] += 5
    outcome, _ = await ask(router, 9, signal)
    assert isinstance(outcome, Answered) and b"well again" in outcome.payload
    await router.aclose()
