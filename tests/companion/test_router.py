"""Who is asked, why, for how long, and what a person reads when nobody could answer."""

import asyncio
import time
from typing import Any

import pytest

from companion.backends.base import Answer, Backend, BackendError, Call, Declined, Request
from companion.router import (
    Answered,
    Attempt,
    Candidate,
    Invalid,
    Needs,
    NoAnswer,
    Outcome,
    Plan,
    Rest,
    Router,
    Signal,
    Snapshot,
    Step,
    deadline_of,
    decide,
    no_answer_text,
)
from tests.companion.conftest import Model, Phrases

COMMANDS = Candidate("commands", "edge", False)
CHEAP = Candidate("cheap", "commodity", True)
BEST = Candidate("best", "premium", True)
LIMITED = Candidate("cheap", "commodity", True, "its rate limit is reached (429)")


@pytest.mark.parametrize(
    ("signal", "candidates", "steps", "reasons"),
    [
        (Signal(True), [COMMANDS], [Step("commands")], ["first in the order"]),
        (
            Signal(True),
            [COMMANDS, CHEAP, BEST],
            [Step("commands"), Step("cheap"), Step("best")],
            ["first in the order", "after commands", "after cheap"],
        ),
        # The order is the user's.
        (
            Signal(True),
            [BEST, COMMANDS],
            [Step("best"), Step("commands")],
            ["first in the order", "after best"],
        ),
        # Receipts are for who knows what was asked.
        (
            Signal(False),
            [COMMANDS, CHEAP],
            [Step("cheap")],
            ["it takes sentences, not receipts", "first in the order"],
        ),
        (Signal(False), [COMMANDS], [], ["it takes sentences, not receipts"]),
        # A text is for who can write one.
        (
            Signal(True, wants_text=True),
            [COMMANDS, CHEAP],
            [Step("cheap")],
            ["it makes calls of sentences, not texts", "first in the order"],
        ),
        # A missing conversation stops nobody who does not need it, and is asked for only then.
        (
            Signal(True, ("ctx",)),
            [COMMANDS, CHEAP],
            [Step("commands"), Step("cheap", ("ctx",))],
            ["first in the order", "needs the conversation first"],
        ),
        (
            Signal(True, ("ctx", "mem")),
            [CHEAP],
            [Step("cheap", ("ctx", "mem"))],
            ["needs the conversation and the facts first"],
        ),
        (
            Signal(True),
            [LIMITED, BEST],
            [Step("best")],
            ["its rate limit is reached (429)", "first in the order"],
        ),
        (Signal(True), [], [], []),
    ],
)
def test_decide(
    signal: Signal, candidates: list[Candidate], steps: list[Step], reasons: list[str]
) -> None:
    plan = decide(signal, Snapshot(tuple(candidates)))
    assert list(plan.steps) == steps
    assert [v.reason for v in plan.verdicts] == reasons
    assert {v.name for v in plan.verdicts if v.chosen} == {s.name for s in plan.steps}


@pytest.mark.parametrize(
    ("ms", "want_s"), [(20_000, 18.0), (4_000, 3.5), (1_000, 0.5), (400, 0.2), (1, 0.0005)]
)
def test_the_answer_is_ready_before_the_device_gives_up(ms: int, want_s: float) -> None:
    assert deadline_of(100.0, ms) - 100.0 == pytest.approx(want_s)


CHOSEN = decide(Signal(True), Snapshot((COMMANDS, CHEAP, BEST))).verdicts
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


# -- carrying a plan out


def request(seconds: float = 5.0, text: str = "dance") -> Request:
    return Request(
        device="kitchen",
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
    if answer.say == "lie":
        raise Invalid("there is no tool 'x'")
    return b"payload"


def says(text: str) -> Any:
    return lambda request: Answer(say=text)


def raises(error: Exception) -> Any:
    def script(request: Request) -> Answer:
        raise error

    return script


SENTENCE = Signal(True)


async def carry_out(router: Router, req: Request, signal: Signal = SENTENCE) -> Outcome:
    outcome = router.run_now(router.plan(signal), signal, req, accept)
    if isinstance(outcome, Rest):
        outcome = await router.run(outcome, signal, req, accept)
    return outcome


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


async def test_a_refused_key_and_a_rate_limit_are_left_alone_for_a_while() -> None:
    limited = Model("limited", raises(BackendError("rate_limit", "its rate limit", 0.3)))
    good = Model("good", says("hi"))
    router = Router([limited, good])
    await carry_out(router, request())
    await carry_out(router, request())
    assert len(limited.asked) == 1
    assert "left alone" in router.snapshot().candidates[0].unfit
    await asyncio.sleep(0.35)
    await carry_out(router, request())
    assert len(limited.asked) == 2


def test_two_backends_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        Router([Phrases(), Phrases()])


def test_plan_is_plain_data() -> None:
    assert decide(Signal(True), Snapshot(())) == Plan((), ())
