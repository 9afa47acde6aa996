"""Who is asked, in which order and why; then asking them under one deadline."""

from companion.router.decide import (
    Candidate,
    Plan,
    Signal,
    Snapshot,
    Step,
    Verdict,
    decide,
    rounded,
)
from companion.router.health import Health, HealthStore
from companion.router.outcome import (
    FREE,
    Accept,
    Answered,
    Attempt,
    Bill,
    Invalid,
    Needs,
    NoAnswer,
    Outcome,
    Repeated,
    Rest,
    no_answer_text,
)
from companion.router.router import Router
from companion.router.rules import Settings, minutes_in, settings_for
from companion.router.run import Energy, Span, deadline_of
from companion.router.tab import Tab

__all__ = [
    "FREE",
    "Accept",
    "Answered",
    "Attempt",
    "Bill",
    "Candidate",
    "Energy",
    "Health",
    "HealthStore",
    "Invalid",
    "Needs",
    "NoAnswer",
    "Outcome",
    "Plan",
    "Repeated",
    "Rest",
    "Router",
    "Settings",
    "Signal",
    "Snapshot",
    "Span",
    "Step",
    "Tab",
    "Verdict",
    "deadline_of",
    "decide",
    "minutes_in",
    "no_answer_text",
    "rounded",
    "settings_for",
]
