"""What a run of the bench found, in the few lines that a terminal shows at its end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tools.hil.compare import Change, Comparison
from tools.hil.record import Record, Run
from tools.hil.units import count, duration, moment
from tools.problem import shown

MOST_LINES = 30
_WIDTH = 100


def text(run: Run, comparison: Comparison | None, report: Path | None = None) -> str:
    """At most 30 lines: counts, failures, what got worse, and where ``report`` lies."""
    board = run.board
    lines = [f"{board.kind} {board.chip} {board.device}: {counts(run.tests)}"]
    lines[0] = _cut(f"{lines[0]} in {duration(run.seconds)}")
    if run.planted:
        lines.append(_cut(f"A fault was planted on purpose: {run.planted}"))
    failed = [record for record in run.tests if record.outcome == "failed"]
    # What failed may take the room that is left by what got worse, and the other way round.
    worse = [] if comparison is None else list(comparison.of("worse"))
    room = MOST_LINES - 11
    for_worse = min(len(worse), max(6, room - 2 * len(failed)))
    lines += _listed("Failed:", [_failure(record) for record in failed], (room - for_worse) // 2)
    lines += _missing(run)
    if comparison is not None:
        lines += [f"  {_cut(notice)}" for notice in comparison.notices[:3]]
        base = f"the run of {moment(comparison.began)}"
        if worse:
            lines += _listed(
                f"Worse than {base}:", [[change_line(one)] for one in worse], for_worse
            )
        else:
            lines.append(f"Nothing got worse since {base}")
    if report is not None:
        lines.append(f"Report: {shown(report)}")
    return "\n".join(lines) + "\n"


def counts(records: Iterable[Record]) -> str:
    """The outcomes in words: "38 passed, 2 failed"."""
    outcomes = [record.outcome for record in records]
    if not outcomes:
        return "no tests ran"
    told = [f"{outcomes.count('passed')} passed"]
    told += [f"{outcomes.count(word)} {word}" for word in ("failed", "skipped") if word in outcomes]
    return ", ".join(told)


def gist(reason: str) -> str:
    """The line of a failure's text that says most: pytest's first "E" line, else the last."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    told = next((line[1:].strip() for line in lines if re.match(r"E\s", line)), "")
    told = told or (lines[-1] if lines else "no reason was given")
    return told if len(told) <= 200 else told[:199] + "…"


def change_line(change: Change) -> str:
    why = f" ({change.why})" if change.why else ""
    return f"{change.test} {change.what}: {change.was} → {change.now}{why}"


def _failure(record: Record) -> list[str]:
    return [record.test, f"  {gist(record.reason)}"]


def _missing(run: Run) -> list[str]:
    skipped = [record for record in run.tests if record.outcome == "skipped"]
    if not skipped or not run.missing:
        return []
    lacking = ", ".join(f"[{name}]" for name in run.missing)
    return [_cut(f"Skipped {count(len(skipped), 'test')}: not wired are {lacking}")]


def _listed(head: str, entries: Sequence[Sequence[str]], most: int) -> list[str]:
    """``entries`` of a line or two below ``head``; beyond ``most`` they are only counted."""
    if not entries:
        return []
    lines = [head, *(f"  {_cut(line)}" for entry in entries[:most] for line in entry)]
    if len(entries) > most:
        lines.append(f"  and {len(entries) - most} more")
    return lines


def _cut(line: str) -> str:
    # A board's own line may hold what a terminal obeys.
    line = "".join(sign if sign.isprintable() else "?" for sign in line)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
