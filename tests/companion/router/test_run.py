"""Carrying a plan out: in time, hedged, with something to fall back on."""

import asyncio
import time
from typing import Any

import pytest

from companion.backends.base import Answer, BackendError, Call, Declined, Request
from companion.config.model import RouterConfig
from companion.router import (
    Answered,
    Attempt,
    Needs,
    NoAnswer,
    Router,
    Signal,
    Verdict,
    deadline_of,
    no_answer_text,
)
from tests.companion.conftest import Model, Phrases
from tests.companion.router.fakes import accept, carry_out, raises, request, says

ORDER = RouterConfig(policy="order")


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
