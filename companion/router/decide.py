"""Who is asked, in which order and why. Pure: what is known of the ask and of the backends → a
``Plan`` with a verdict on each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from companion.backends.base import Card
from companion.config.model import Policy
from companion.meter import cost_nano_usd, usd

EXPECTED_OUTPUT_TOKENS: Final = 120
"""Of a typical answer: two calls and a sentence. For expected costs only."""


class Signal(NamedTuple):
    """What the decision knows of an ask. Plans are kept by it, so it is small, and a tuple: made,
    hashed and compared on the way of every ask."""

    has_text: bool
    """False in a round that only brings receipts."""
    missing: tuple[str, ...] = ()
    """Parts this companion does not hold: "ctx", "mem"."""
    wants_text: bool = False
    """True where only a text is wanted, and no calls."""
    policy: Policy = "auto"
    allow: tuple[str, ...] | None = None
    """Backends by name or tier; None: every one."""
    deny: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    """As ``rules.Settings.order``."""
    prompt_tokens: int = 0
    """What a model would be sent, ``rounded``; 0: not known."""
    prompt_min_tokens: int = 0
    """The same with as few tools as will do."""
    spent: str = ""
    """``today's budget of kitchen has too little left``: no backend with a price can be asked."""


IF_THAT_FAILS: Final = "if that fails: "
"""Begins the reason of those that ``auto`` ranks behind the first; once it has failed, no more."""
TOO_LITTLE: Final = "has too little left"
"""What is said of a budget that has no room. Not "is spent": what an answer may cost at most has to
fit, so that there may be something left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the decision knows of a backend."""

    card: Card
    p95_ms: int
    """Its answers' 95th percentile, as measured or else as its card says."""
    measured: bool = False
    unfit: str = ""
    """Why it cannot be asked now, "" when it can."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The backends as they are now, as configured, and what ``auto`` aims at."""

    candidates: tuple[Candidate, ...]
    target_ms: int = 4000
    min_quality: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Ask this backend; with ``missing`` the device must first send those parts whole."""

    name: str
    missing: tuple[str, ...] = ()
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a backend is in the plan, or is not. A clause for people."""

    name: str
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and a verdict on every candidate: the steps' first, in their order."""

    steps: tuple[Step, ...]
    verdicts: tuple[Verdict, ...]


def decide(signal: Signal, snapshot: Snapshot) -> Plan:
    """First who may be asked at all, then in which order.

    ``commands`` and its like (no model) come first under each policy but ``order``: a sentence
    that they take is exact, free and at once. Then, by policy:

    - ``auto``: the cheapest that answers within ``target_ms`` with ``min_quality``; the others
      after it, the ablest first, a quick one before a slow one.
    - ``cheapest``, ``fastest``, ``best``: by expected cost, by p95, by quality.
    - ``private``: only those in the house, ranked as by ``auto``.
    - ``order``: as configured.

    One that the whole prompt fits comes before one whose tools must be trimmed.
    """
    fit: list[Candidate] = []
    out: list[Verdict] = []
    for candidate in snapshot.candidates:
        why = unfit(signal, candidate)
        if why:
            out.append(Verdict(candidate.card.name, False, why))
        else:
            fit.append(candidate)
    steps: list[Step] = []
    for candidate, reason in _ranked(signal, snapshot, fit):
        name = candidate.card.name
        missing = signal.missing if candidate.card.needs_context else ()
        if missing:
            parts = " and ".join(_PARTS[part] for part in missing)
            reason = f"{reason}; needs {parts} first"
        steps.append(Step(name, missing, reason))
    verdicts = [Verdict(step.name, True, step.reason) for step in steps]
    return Plan(tuple(steps), tuple(verdicts + out))


_PARTS: Final[Mapping[str, str]] = {"ctx": "the conversation", "mem": "the facts"}


# -- who may be asked


def unfit(signal: Signal, candidate: Candidate) -> str:
    """Why this backend cannot be asked, "" when it can. What people have decided comes before
    what the backend can do, and that before how it fares."""
    card = candidate.card
    if signal.policy == "private" and not card.local:
        return "it is outside the house, and this stays in it"
    if signal.order and card.name not in signal.order:
        return "it is not in the configured order"
    if _named(card, signal.deny):
        return "a rule denies it"
    if signal.allow is not None and not _named(card, signal.allow):
        return "no rule allows it"
    if not card.needs_context:
        if signal.wants_text:
            # "Turn on the light" would be a text to it that asks for a call.
            return "it makes calls of sentences, not texts"
        if not signal.has_text:
            # Receipts mean something only to who knows what was asked for.
            return "it takes sentences, not receipts"
    elif not card.tools and not signal.wants_text:
        return "it cannot call tools"
    need = signal.prompt_min_tokens + card.output_tokens
    if card.needs_context and card.context_tokens and need > card.context_tokens:
        return f"this needs about {need:,} tokens and it takes {card.context_tokens:,}"
    if signal.spent and card.prices is not None:
        return signal.spent
    return candidate.unfit


def _named(card: Card, names: Sequence[str]) -> bool:
    return card.name in names or card.tier in names


# -- in which order

_Reasoned: TypeAlias = tuple[Candidate, str]


def _ranked(signal: Signal, snapshot: Snapshot, fit: Iterable[Candidate]) -> list[_Reasoned]:
    if signal.policy == "order":
        at = {name: n for n, name in enumerate(signal.order)}
        ordered = sorted(fit, key=lambda c: at.get(c.card.name, 0))
        return [(c, _place(n, ordered)) for n, c in enumerate(ordered)]
    fit = list(fit)
    exact = [c for c in fit if not c.card.needs_context]
    models = [c for c in fit if c.card.needs_context]
    ranked = [(c, "exact where it understands, free and at once") for c in exact]
    if signal.policy == "cheapest":
        models.sort(key=lambda c: (_trimmed(signal, c), expected_nano(signal, c), c.p95_ms))
        return ranked + [(c, f"by cost: {_cost_text(signal, c)}") for c in models]
    if signal.policy == "fastest":
        models.sort(key=lambda c: (_trimmed(signal, c), c.p95_ms, expected_nano(signal, c)))
        return ranked + [(c, f"by speed: {_speed_text(c)}") for c in models]
    if signal.policy == "best":
        models.sort(key=lambda c: (_trimmed(signal, c), -c.card.quality, c.p95_ms))
        return ranked + [(c, f"by quality: {c.card.quality} of 100") for c in models]
    return ranked + _auto(signal, snapshot, models)


def _auto(signal: Signal, snapshot: Snapshot, models: list[Candidate]) -> list[_Reasoned]:
    def meets(c: Candidate) -> bool:
        return c.p95_ms <= snapshot.target_ms and c.card.quality >= snapshot.min_quality

    models.sort(key=lambda c: (_trimmed(signal, c), expected_nano(signal, c), c.p95_ms))
    first = next((c for c in models if meets(c)), None)
    rest = [c for c in models if c is not first]
    rest.sort(
        key=lambda c: (_trimmed(signal, c), -c.card.quality, c.p95_ms, expected_nano(signal, c))
    )
    ranked: list[_Reasoned] = []
    if first is not None:
        within = f"the cheapest within {_seconds(snapshot.target_ms)}"
        ranked.append((first, f"{within}: {_cost_text(signal, first)}, {_speed_text(first)}"))
    for c in rest:
        about = f"quality {c.card.quality}, {_cost_text(signal, c)}, {_speed_text(c)}"
        ranked.append((c, f"{IF_THAT_FAILS}{about}" if ranked else f"the ablest: {about}"))
    return ranked


def _place(n: int, ordered: Sequence[Candidate]) -> str:
    return f"after {ordered[n - 1].card.name}" if n else "first in the order"


def _trimmed(signal: Signal, candidate: Candidate) -> bool:
    """Whether it cannot take all of the prompt."""
    card = candidate.card
    return 0 < card.context_tokens < signal.prompt_tokens + card.output_tokens


def expected_nano(signal: Signal, candidate: Candidate) -> int:
    """What an answer is expected to cost, in nano-dollars, nothing of it cached."""
    return cost_nano_usd(
        candidate.card.prices,
        signal.prompt_tokens,
        min(EXPECTED_OUTPUT_TOKENS, candidate.card.output_tokens),
        busy_ms=candidate.p95_ms,
    )


def _cost_text(signal: Signal, candidate: Candidate) -> str:
    if candidate.card.prices is None:
        return "free"
    return f"about ${usd(expected_nano(signal, candidate)):.2g}"


def _speed_text(candidate: Candidate) -> str:
    how = "measured" if candidate.measured else "expected"
    return f"95 % within {_seconds(candidate.p95_ms)} {how}"


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.2g} s" if ms < 10_000 else f"{ms / 1000:.0f} s"


def rounded(tokens: int) -> int:
    """``tokens`` rounded up by an eighth at most, so that few numbers stand for all and plans can
    be kept by them; 0 stays 0."""
    step = 1 << max(tokens.bit_length() - 4, 0)
    return -(-tokens // step) * step
