"""Carrying a plan out: in time, hedged, with something to fall back on."""

import asyncio
import time
from typing import Any

import pytest

from companion.backends.base import Answer, BackendError, Call, Declined, Request
from companion.config.model import RouterConfig, Rule
from companion.router import (
    Answered,
    Attempt,
    Needs,
    NoAnswer,
    Rest,
    Router,
    Settings,
    Signal,
    Verdict,
    deadline_of,
    no_answer_text,
)
from companion.router.run import attempt_s
from tests.companion.conftest import Model, Phrases
from tests.companion.router.fakes import accept, carry_out, raises, request, says

BEST = Signal(True, policy="best")


@pytest.mark.parametrize(
    ("ms", "want_s"), [(20_000, 18.0), (4_000, 3.5), (1_000, 0.5), (400, 0.2), (1, 0.0005)]
)
def test_the_answer_is_ready_before_the_device_gives_up(ms: int, want_s: float) -> None:
    assert deadline_of(100.0, ms) - 100.0 == pytest.approx(want_s)


CHOSEN = [Verdict(name, True, "") for name in ("commands", "cheap", "best")]
DECLINED = Attempt("commands", "declined", "I know no such request")


@pytest.mark.parametrize(
    ("verdicts", "attempts", "models", "want"),
    [
        (
            CHOSEN[:1],
            [DECLINED],
            0,
            "Nobody could answer: commands: I know no such request; no model is configured. "
            "Add one to ganglion.toml (see docs/backends.md) or say it as 'turn on pin 5'.",
        ),
        (
            CHOSEN[:2],
            [DECLINED, Attempt("cheap", "auth", "it refuses the key (401)")],
            1,
            "Nobody could answer: commands: I know no such request; cheap: it refuses the key "
            "(401). Check that key in ganglion.toml (see docs/backends.md) or say it as 'turn on "
            "pin 5'.",
        ),
        (
            CHOSEN,
            [DECLINED, Attempt("cheap", "timeout", "no answer within 10.8 s")],
            2,
            "Nobody could answer: commands: I know no such request; cheap: no answer within "
            "10.8 s; best: there was no time left to ask. Try again in a moment or say it as "
            "'turn on pin 5'.",
        ),
    ],
)
def test_who_nobody_answers_reads_what_was_tried_and_what_to_do(
    verdicts: Any, attempts: list[Attempt], models: int, want: str
) -> None:
    assert no_answer_text(Signal(True), verdicts, attempts, models) == want


def test_the_sentence_stays_short_and_names_every_backend() -> None:
    attempts = [Attempt(f"backend{n}", "server", "é" * 500) for n in range(8)]
    text = no_answer_text(Signal(True), (), attempts, 8)
    assert len(text.encode()) <= 400
    assert all(f"backend{n}" in text for n in range(8))
    assert text.endswith("'turn on pin 5'.")


async def test_a_fast_backend_needs_no_task() -> None:
    router = Router([Phrases(), Model("m", says("never"))])
    signal = Signal(True)
    outcome = router.run_now(router.plan(signal), signal, request(text="turn on pin 5"), accept)
    assert isinstance(outcome, Answered)
    assert outcome.answer.calls == (Call("gpio_write", {"pin": 5, "level": 1}),)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Declined("not my thing"), "declined"),
        (BackendError("server", "it failed (500)"), "server"),
        (ZeroDivisionError(), "internal"),
    ],
)
async def test_what_fails_is_noted_and_the_next_is_asked(error: Exception, code: str) -> None:
    outcome = await carry_out(
        Router([Model("a", raises(error)), Model("b", says("hi"))]), request()
    )
    assert isinstance(outcome, Answered)
    assert outcome.backend.card.name == "b"
    assert [a.code for a in outcome.attempts] == [code]


async def test_the_reason_tells_who_failed_before_and_who_is_left_alone() -> None:
    refused = Model("a", raises(BackendError("auth", "it refuses the key (401)")), typical_ms=100)
    router = Router([refused, Model("b", says("hi"), typical_ms=200)])
    first = await carry_out(router, request())
    second = await carry_out(router, request())
    assert isinstance(first, Answered) and isinstance(second, Answered)
    # It has failed, so nothing is conditional any more.
    assert first.reason.startswith("quality ")
    assert first.reason.endswith("; a before: it refuses the key (401)")
    assert "; a: it refuses the key (401), left alone for" in second.reason
    assert len(refused.asked) == 1


async def test_an_answer_that_cannot_be_used_is_a_failure() -> None:
    outcome = await carry_out(Router([Model("a", says("lie")), Model("b", says("hi"))]), request())
    assert isinstance(outcome, Answered)
    assert outcome.backend.card.name == "b"
    assert "there is no tool 'x'" in outcome.attempts[0].msg


async def test_one_that_hangs_leaves_time_for_the_next() -> None:
    slow, good = Model("slow", says("late"), delay_s=60), Model("good", says("hi"))
    began = time.monotonic()
    outcome = await carry_out(Router([slow, good]), request(seconds=0.5))
    assert isinstance(outcome, Answered)
    assert outcome.backend.card.name == "good"
    assert time.monotonic() - began < 0.5
    assert slow.canceled == 1


async def test_all_hanging_end_at_the_deadline() -> None:
    models = [Model(f"m{n}", says("late"), delay_s=60) for n in range(3)]
    began = time.monotonic()
    outcome = await carry_out(Router(models), request(seconds=0.6))
    took = time.monotonic() - began
    assert isinstance(outcome, NoAnswer)
    assert 0.4 < took < 0.75
    assert all(model.card.name in outcome.msg for model in models)


async def test_one_that_resists_cancellation_does_not_hold_the_device_up() -> None:
    class Stubborn(Model):
        async def answer(self, request: Request) -> Answer:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.6)
            raise BackendError("server", "too late to matter")

    began = time.monotonic()
    outcome = await carry_out(Router([Stubborn("s", says(""))]), request(seconds=0.2))
    assert isinstance(outcome, NoAnswer)
    assert time.monotonic() - began < 0.5


async def test_a_model_without_its_context_is_not_asked() -> None:
    model = Model("m", says("hi"))
    outcome = await carry_out(Router([Phrases(), model]), request(), Signal(True, ("ctx",)))
    assert outcome == Needs(("ctx",))
    assert model.asked == []


def test_two_backends_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Router([Phrases(), Phrases()])


# -- in company


def primed(router: Router, name: str, ms: float) -> None:
    for _ in range(30):
        router.health.took(name, ms, time.time())


async def test_one_slower_than_it_nearly_always_is_gets_company() -> None:
    slow = Model("slow", says("late"), delay_s=60, quality=90)
    good = Model("good", says("hi"))
    router = Router([slow, good], RouterConfig(policy="best"))
    primed(router, "slow", 100)
    began = time.monotonic()
    outcome = await carry_out(router, request(), BEST)
    assert isinstance(outcome, Answered) and outcome.backend is good
    assert 0.1 <= time.monotonic() - began < 0.5
    # It is most of what this answer cost, so who reads the cost reads of it.
    assert outcome.reason.endswith("; slow asked, too: no answer within 0.1 s, counted at the most")
    await asyncio.sleep(0)
    assert slow.canceled == 1


async def test_the_first_valid_answer_wins_whoever_gives_it() -> None:
    first = Model("first", says("hi"), delay_s=0.2, quality=90)
    liar = Model("liar", says("lie"))
    router = Router([first, liar])
    primed(router, "first", 50)
    outcome = await carry_out(router, request(), BEST)
    assert isinstance(outcome, Answered) and outcome.backend is first
    assert [a.code for a in outcome.attempts] == ["invalid"]
    assert len(first.asked) == len(liar.asked) == 1


@pytest.mark.parametrize("hedge", [True, False])
async def test_company_can_be_turned_off(hedge: bool) -> None:
    first = Model("first", says("hi"), delay_s=0.3, quality=90)
    second = Model("second", says("hi"), delay_s=0.3)
    router = Router([first, second], RouterConfig(hedge=hedge))
    primed(router, "first", 50)
    outcome = await carry_out(router, request(), BEST)
    assert isinstance(outcome, Answered) and outcome.backend is first
    assert len(second.asked) == hedge


async def test_two_at_a_time_at_most() -> None:
    models = [Model(f"m{n}", says("late"), delay_s=60, typical_ms=20) for n in range(5)]
    task = asyncio.create_task(carry_out(Router(models), request(), BEST))
    await asyncio.sleep(0.3)
    assert sum(len(model.asked) for model in models) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sum(model.canceled for model in models) == 2


async def test_time_is_kept_for_the_one_in_the_house() -> None:
    far = [Model(f"far{n}", says("late"), delay_s=60, quality=90 - n) for n in range(2)]
    home = Model("home", says("hi"), delay_s=0.5, local=True, prices=None, typical_ms=600)
    router = Router([*far, home], RouterConfig(hedge=False))
    outcome = await carry_out(router, request(seconds=1.0), BEST)
    assert isinstance(outcome, Answered) and outcome.backend is home
    # Two that hang share what is left besides; the second is not begun at its cost.
    assert [len(model.asked) for model in far] == [1, 0]


@pytest.mark.parametrize(
    ("left_s", "follow", "keep_s", "want_s"),
    [(10, False, 0, 10), (10, True, 0, 6), (10, True, 2, 6), (10, True, 5, 5), (10, True, 60, 3)],
)
def test_the_share_of_one_attempt(
    left_s: float, follow: bool, keep_s: float, want_s: float
) -> None:
    assert attempt_s(left_s, follow, keep_s) == pytest.approx(want_s)


async def test_after_an_answer_of_no_use_a_better_one_is_asked_first() -> None:
    cheap = Model("cheap", says("lie"), prices=None, quality=50)
    asked: list[str] = []

    def noted(name: str) -> Any:
        def script(request: Request) -> Answer:
            asked.append(name)
            raise BackendError("server", "it failed")

        return script

    others = [
        Model("lesser", noted("lesser"), quality=30, context_tokens=100_000),
        Model("better", noted("better"), quality=60, context_tokens=2000),
    ]
    # The better one would come last: the whole prompt does not fit it.
    signal = Signal(True, prompt_tokens=4000, prompt_min_tokens=500)
    await carry_out(Router([cheap, *others]), request(), signal)
    assert asked == ["better", "lesser"]


# -- another configuration


class Closing(Model):
    closed = False

    async def aclose(self) -> None:
        self.closed = True


async def test_what_runs_goes_on_with_the_old_ones() -> None:
    old, kept = (
        Closing("old", says("from the old"), delay_s=0.1, quality=90),
        Closing("k", says("")),
    )
    router = Router([old, kept])
    task = asyncio.create_task(carry_out(router, request(), BEST))
    await asyncio.sleep(0.02)
    new = Closing("new", says("from the new"), quality=90)
    router.replace([new, kept], RouterConfig())
    outcome = await carry_out(router, request(), BEST)
    assert isinstance(outcome, Answered) and outcome.payload == b"from the new"
    assert not old.closed
    outcome = await task
    assert isinstance(outcome, Answered) and outcome.payload == b"from the old"
    await asyncio.sleep(0.01)
    assert old.closed and not kept.closed and not new.closed


async def test_a_backend_of_several_configurations_is_closed_with_the_last_that_is_in_use() -> None:
    kept = Closing("kept", says("hi"), delay_s=0.1)
    router = Router([kept])
    task = asyncio.create_task(carry_out(router, request(), BEST))
    await asyncio.sleep(0.02)
    router.replace([kept, Closing("more", says(""))], RouterConfig())
    router.replace([], RouterConfig())
    await asyncio.sleep(0.02)
    assert not kept.closed
    assert isinstance(await task, Answered)
    await asyncio.sleep(0.01)
    assert kept.closed


async def test_one_that_resists_is_closed_when_it_has_ended() -> None:
    class Stubborn(Closing):
        async def answer(self, request: Request) -> Answer:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0.1)
            raise BackendError("server", "too late to matter")

    stubborn = Stubborn("s", says(""))
    router = Router([stubborn])
    await carry_out(router, request(seconds=0.2), BEST)
    router.replace([], RouterConfig())
    await asyncio.sleep(0.02)
    assert not stubborn.closed
    await asyncio.sleep(0.12)
    assert stubborn.closed


async def test_an_ask_that_had_not_begun_is_planned_anew() -> None:
    old, new = Closing("old", says("never")), Closing("new", says("hi"))
    router = Router([old])
    req = request()
    rest = router.run_now(router.plan(BEST), BEST, req, accept)
    assert isinstance(rest, Rest)
    router.replace([new], RouterConfig())
    outcome = await router.run(rest, BEST, req, accept)
    assert isinstance(outcome, Answered) and outcome.backend is new
    assert not old.asked


async def test_a_configuration_that_cannot_be_is_refused_and_the_old_one_stays() -> None:
    router = Router([Model("m", says("hi"))])
    with pytest.raises(ValueError, match="same name"):
        router.replace([Phrases(), Phrases()], RouterConfig())
    assert isinstance(await carry_out(router, request()), Answered)


async def test_plans_follow_rules_and_time() -> None:
    now = [0.0]
    config = RouterConfig(rules=(Rule(begins=60, ends=120, policy="private", deny=("m",)),))
    router = Router(
        [Model("m", says("hi"))],
        config,
        clock=lambda: now[0],
        minutes=lambda at: int(at // 60),
    )
    assert router.settings("kitchen") == Settings("auto")
    now[0] = 3600
    assert router.settings("kitchen") == Settings("private", None, ("m",))
    assert router.settings("kitchen", "best").policy == "private"
