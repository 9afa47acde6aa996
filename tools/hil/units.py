"""Numbers as the report and the terminal show them: three digits that count, and a unit."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_KIB = 1024


def number(value: float) -> str:
    """``value`` with three significant digits; whole digits are never rounded away."""
    size = abs(value)
    if size >= 1e15:
        return f"{value:.3g}"
    if size < 1e-9:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(size)))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scale(size: float, unit: str) -> tuple[float, str]:
    """By what to divide a number as large as ``size`` (in ``unit``), and the unit it then has."""
    if unit == "B" and size >= 10 * _KIB * _KIB:
        return _KIB * _KIB, "MiB"
    if unit == "B" and size >= 10 * _KIB:
        return _KIB, "KiB"
    if unit == "ms" and size >= 10_000:
        return 1000, "s"
    return 1, unit


def quantity(value: float, unit: str) -> str:
    by, unit = scale(abs(value), unit)
    return f"{number(value / by)} {unit}".rstrip()


def duration(seconds: float) -> str:
    """``seconds`` in the two units that a person would say."""
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{number(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def percent(was: float, now: float) -> str:
    """How much larger ``now`` is, as "+12 %"; "" where a share says nothing, or there is none."""
    if was == 0 or (was < 0) != (now < 0):
        return ""
    ratio = (now - was) / abs(was) * 100
    if not math.isfinite(ratio):  # of a number that is next to nothing
        return ""
    share = round(ratio)
    return f"{share:+,} %" if share else ""


def moment(began: str) -> str:
    """An ISO time in UTC, to the minute."""
    return f"{datetime.fromisoformat(began).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
