"""What got worse, better, new or gone between two runs of the bench. Pure.

Turning the two runs round turns each verdict round, and a run has nothing worse than itself.

A figure changed if its median did by more than 20 % **and** the middle halves of the two runs'
values (the boxes of a box plot, Tukey, Exploratory Data Analysis, 1977) do not overlap. The first
is whether it matters, the second whether it is more than the noise that each run shows of itself.
Boxes and not confidence intervals of the medians (McGill, Tukey and Larsen, Variations of Box
Plots, 1978), which shrink with the number of values as if these were independent: all values of a
run share one warm or busy machine. Of fewer than five values the noise is not known: there the
median must have doubled or halved. (Two runs of the same firmware, one after the other, differed by
132 % in the seconds of one start.) The heap is looked at between two commands, when what is loaded
for a use may be there or not: 4 KiB and less say nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tools.hil.record import Figure, Outcome, Record, Run
from tools.hil.units import percent, quantity

Verdict = Literal["worse", "better", "same", "new", "gone"]

SHARE = 0.2
FEW = 5
SHARE_OF_FEW = 1.0
HEAP_BYTES = 4096
FLASH_WRITES = 2

_ORDER = {"outcome": 0, "heap low-water": 2, "flash writes": 3}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing of one test in two runs: ``what`` is "outcome", "heap low-water", "flash writes"
    or a figure's name. ``was``, ``now`` and ``why`` (may be "") are for people."""

    test: str
    what: str
    was: str
    now: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``began`` is when the base did; ``notices`` say what could not be compared, and why."""

    began: str
    notices: tuple[str, ...]
    changes: tuple[Change, ...]

    def of(self, verdict: Verdict) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verdict == verdict)


def compare(run: Run, base: Run) -> Comparison:
    """``run`` against ``base``: each outcome and number that one of them has."""
    now = {record.test: record for record in run.tests}
    was = {record.test: record for record in base.tests}
    apart = _apart(run, base)
    changes = []
    for test in [*now, *(test for test in was if test not in now)]:
        if test not in was:
            changes.append(Change(test, "outcome", "", now[test].outcome, "new"))
        elif test not in now:
            changes.append(Change(test, "outcome", was[test].outcome, "", "gone"))
        else:
            changes.append(_outcome(now[test], was[test]))
            if "board" not in apart:
                changes += _of_the_board(now[test], was[test])
            if not apart:
                changes += _figures(now[test], was[test])
    # What matters most comes first: outcomes, then figures, then what the board had left.
    changes.sort(key=lambda change: _ORDER.get(change.what, 1))
    return Comparison(base.began, tuple(_notices(run, base, apart)), tuple(changes))


def _apart(run: Run, base: Run) -> set[str]:
    """What the runs do not share. Figures need both, heap and flash only the board."""
    apart = set()
    if (run.board.kind, run.board.chip) != (base.board.kind, base.board.chip):
        apart.add("board")
    if run.machine != base.machine:
        apart.add("machine")
    return apart


def _notices(run: Run, base: Run, apart: set[str]) -> Iterator[str]:
    if "board" in apart:
        yield (
            f"The base ran on a {base.board.kind} {base.board.chip}, this run on a "
            f"{run.board.kind} {run.board.chip}: outcomes are compared, no numbers."
        )
    elif "machine" in apart:
        yield (
            f"The base ran at {base.machine or 'an unnamed machine'}, this run at "
            f"{run.machine or 'an unnamed machine'}: outcomes, heap and flash writes are compared, "
            "no figures."
        )
    for name, one in (("This run", run), ("The base", base)):
        if one.planted:
            yield f"{name} had a fault planted on purpose: {one.planted}."


def _outcome(now: Record, was: Record) -> Change:
    verdict, why = _outcomes(now.outcome, was.outcome)
    return Change(now.test, "outcome", was.outcome, now.outcome, verdict, why)


def _outcomes(now: Outcome, was: Outcome) -> tuple[Verdict, str]:
    if now == was:
        return "same", ""
    if was == "passed":
        return "worse", "" if now == "failed" else "it is not shown any more"
    if now == "passed":
        return "better", ""
    return "same", "neither run has shown that it works"


def _of_the_board(now: Record, was: Record) -> Iterator[Change]:
    if now.heap_free_min is not None and was.heap_free_min is not None:
        more = now.heap_free_min - was.heap_free_min
        yield Change(
            now.test,
            "heap low-water",
            quantity(was.heap_free_min, "B"),
            quantity(now.heap_free_min, "B"),
            _verdict(-more if abs(more) > HEAP_BYTES else 0),
            f"{more:+,} B",
        )
    if now.flash_writes is not None and was.flash_writes is not None:
        more = now.flash_writes - was.flash_writes
        least = min(now.flash_writes, was.flash_writes)
        matters = abs(more) > FLASH_WRITES and abs(more) > SHARE * least
        yield Change(
            now.test,
            "flash writes",
            f"{was.flash_writes:,}",
            f"{now.flash_writes:,}",
            _verdict(more if matters else 0),
            f"{more:+,}",
        )


def _figures(now: Record, was: Record) -> Iterator[Change]:
    new = {(figure.name, figure.unit, figure.better): figure for figure in now.figures}
    old = {(figure.name, figure.unit, figure.better): figure for figure in was.figures}
    for key in [key for key in new if key in old]:
        yield _figure(now.test, new[key], old[key])
    if now.outcome == was.outcome == "passed":  # else it had not come to measuring
        for key, figure in new.items():
            if key not in old:
                yield Change(now.test, figure.name, "", _shown(figure), "new")
        for key, figure in old.items():
            if key not in new:
                yield Change(now.test, figure.name, _shown(figure), "", "gone")


def _figure(test: str, now: Figure, was: Figure) -> Change:
    why = percent(was.median, now.median)
    verdict = _verdict(_moved(now, was))
    if now.past_limit and not was.past_limit:
        verdict, why = "worse", f"past its limit: {_against_limit(now)}"
    elif was.past_limit and not now.past_limit:
        verdict, why = "better", f"within its limit again; it was {_against_limit(was)}"
    return Change(test, now.name, _shown(was), _shown(now), verdict, why)


def _against_limit(figure: Figure) -> str:
    assert figure.limit is not None
    limit = quantity(figure.limit, figure.unit)
    return f"{quantity(figure.worst, figure.unit)} at worst, {limit} allowed"


def _moved(now: Figure, was: Figure) -> float:
    """How much worse the median is; 0 if that does not matter or may be noise."""
    more = now.median - was.median
    # Of the smaller one, so that the way back is as far as the way there.
    share = SHARE_OF_FEW if min(len(now.values), len(was.values)) < FEW else SHARE
    if abs(more) <= share * min(abs(now.median), abs(was.median)):
        return 0
    (low, high) = (was, now) if more > 0 else (now, was)
    if _quartiles(low.values)[1] >= _quartiles(high.values)[0]:
        return 0
    return more if now.better == "lower" else -more


def _quartiles(values: tuple[float, ...]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def _verdict(worse_by: float) -> Verdict:
    return "worse" if worse_by > 0 else "better" if worse_by < 0 else "same"


def _shown(figure: Figure) -> str:
    return quantity(figure.median, figure.unit)
