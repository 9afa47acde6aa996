"""A house in simulated time (tools/bench/soak.py): what was due happened, and nothing else did."""

import os

import pytest

from tools.bench.soak import soak


@pytest.mark.timeout(1800)
def test_everything_due_happens_once_through_outages_and_power_cuts() -> None:
    days = 30 if os.environ.get("GANGLION_FULL") else 1
    outcome = soak(days)
    figures = outcome.figures
    assert not outcome.unexplained, "\n".join(outcome.unexplained[:20])
    assert figures["soak_runs_actual"] > 80 * days, figures
    # Every kind of trouble was there.
    assert all(outcome.counts.values()), outcome.counts
    # An event is lost only with the power, before it was on flash.
    sudden = sum(outcome.counts[kind] for kind in ("off", "lost", "cut", "reset"))
    assert 0 <= figures["soak_events_lost"] <= sudden * 4, figures
    assert figures["soak_events_doubled"] <= sudden * 4, figures
    if days >= 30:
        # Each day's highest is about what it was in the first days.
        assert abs(figures["soak_heap_drift_bytes"]) <= 1024, outcome.heap
    assert max(outcome.heap) - min(outcome.heap) <= 8192, outcome.heap
