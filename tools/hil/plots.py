"""Figures and series as SVG: the values of a figure on a strip, a series as a line.

The drawing is stretched to the width there is, its lines and dots are not; all text is HTML beside
it, so that it has the same size on a phone and on paper.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from html import escape

from tools.hil.record import Figure, Series
from tools.hil.units import count, quantity, scale

MOST_POINTS = 500
MOST_DOTS = 200

Point = tuple[float, float]


def strip(figure: Figure) -> str:
    """All values of ``figure`` on one axis, the box of their middle half, and its limit."""
    values = sorted(figure.values)
    limit = figure.limit
    if len(values) == 1 and limit is None:
        return "<div></div>"  # one dot without a scale says nothing
    # A limit far away would press all values into one dot; then the axis ends before it.
    reach = max(abs(values[0]), abs(values[-1]))
    far = limit is not None and len(values) > 1 and abs(limit) > 8 * reach > 0
    if limit is None:
        ends = values
    elif far:
        ends = [*values, math.copysign(1.2 * reach, limit)]  # no dot stands where the limit would
    else:
        ends = [*values, limit]
    low, high = min(ends), max(ends)
    if 0 < low <= 0.6 * high:
        low = 0.0
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0)
    high = high if high > low else low + 1.0
    span = high - low

    def x(value: float) -> str:
        return f"{2 + (value - low) / span * 96:.2f}"

    parts = ['<path class="axis" d="M0 30H100"/>']
    if len(values) >= 4:
        first, middle, third = statistics.quantiles(values, n=4, method="inclusive")
        whiskers = f"M{x(values[0])} 14H{x(first)}M{x(third)} 14H{x(values[-1])}"
        parts.append(
            f'<path class="whisker" d="{whiskers}"/>'
            f'<path class="box" d="M{x(first)} 5V23H{x(third)}V5Z"/>'
            f'<path class="median" d="M{x(middle)} 5V23"/>'
        )
    dots = (
        f"M{x(value)} {14 + _shake(at):.1f}h0" for at, value in enumerate(_some(values, MOST_DOTS))
    )
    if limit is not None and not far:
        parts.append(f'<path class="limit" d="M{x(limit)} 0V30"/>')
    only = " only" if len(values) == 1 else ""
    parts.append(f'<path class="dots{only}" d="{"".join(dots)}"/>')
    told = f"{count(len(values), 'value')}, {quantity(values[0], figure.unit)} to "
    told += quantity(values[-1], figure.unit)
    ends_at = [quantity(low, figure.unit), quantity(high, figure.unit)]
    if far and limit is not None:
        told_limit = f"limit {quantity(limit, figure.unit)}"
        ends_at = [f"← {told_limit}", ends_at[1]] if limit < 0 else [ends_at[0], f"{told_limit} →"]
    below = "".join(f"<span>{escape(end)}</span>" for end in ends_at)
    return (
        f'<div class="strip"><svg viewBox="0 0 100 31" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(told)}">{"".join(parts)}</svg><div class="scale">'
        f"{below}</div></div>"
    )


def _shake(at: int) -> float:
    """Where around the middle the dot number ``at`` lies, so that equal values do not hide."""
    return ((at * 0.618034 + 0.5) % 1 - 0.5) * 14  # the golden ratio spreads any count evenly


def _some(values: Sequence[float], most: int) -> Sequence[float]:
    """At most ``most`` of the sorted ``values``: both ends, and evenly between."""
    if len(values) <= most:
        return values
    return [values[round(at * (len(values) - 1) / (most - 1))] for at in range(most)]


def thin(points: Sequence[Point], most: int = MOST_POINTS) -> Sequence[Point]:
    """At most ``most`` points that draw the same line: of each bucket its lowest and its highest.

    So a spike of one point stays, which a mean or every n-th point would lose.
    """
    if len(points) <= most:
        return points
    inner = points[1:-1]
    buckets = (most - 2) // 2
    kept = [points[0]]
    for at in range(buckets):
        bucket = range(at * len(inner) // buckets, (at + 1) * len(inner) // buckets)
        low = min(bucket, key=lambda index: inner[index][1])
        high = max(bucket, key=lambda index: inner[index][1])
        kept += [inner[index] for index in sorted({low, high})]
    return [*kept, points[-1]]


_TIME_UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_TIME_STEPS = (0.5, 1, 2, 3, 5, 6, 10, 12, 15, 20, 30)


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers from ``low`` to ``high``: 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    return _every(step, low, high)


def time_ticks(low_s: float, high_s: float) -> tuple[list[float], float, str]:
    """Where to mark a time axis, in seconds; by what to divide these, and the unit that gives."""
    span = high_s - low_s
    by, unit = next((one for one in _TIME_UNITS if span >= 2 * one[0]), _TIME_UNITS[-1])
    if span < 2 or by == 86_400:
        marks = [mark * by for mark in ticks(low_s / by, high_s / by, 6)]
    else:
        step = next((step for step in _TIME_STEPS if span / by / step <= 8), 60)
        marks = _every(step * by, low_s, high_s)
    return marks, by, unit


def _every(step: float, low: float, high: float) -> list[float]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [at * step for at in range(first, min(last, first + 50) + 1)]


def _labels(marks: Sequence[float]) -> list[str]:
    """``marks`` with as many decimals as tell them apart."""
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{mark:,.{digits}f}" for mark in marks]


def line(series: Series) -> str:
    """``series`` as a line over time, with both axes."""
    whole = sorted(series.points)
    if not whole:
        return f'<p class="muted">{escape(series.name)}: no points.</p>'
    points = thin(whole)
    values = [value for _, value in points]
    low, high = min(values), max(values)
    by, unit = scale(max(abs(low), abs(high)), series.unit)
    flat = high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-12)
    edge = (abs(high) * 0.05 or 1.0) if flat else (high - low) * 0.06
    # Nothing that is never negative gets an axis that is.
    bottom, top = (max(low - edge, 0.0) if low >= 0 else low - edge), high + edge
    start, end = points[0][0], points[-1][0]
    if start == end:
        start, end = start - 0.5, end + 0.5

    def x(time_s: float) -> float:
        return (time_s - start) / (end - start) * 100

    def y(value: float) -> float:
        return 100 - (value - bottom) / (top - bottom) * 100

    levels = ticks(bottom / by, top / by)
    marks, seconds, time_unit = time_ticks(start, end)
    grid = "".join(f"M0 {y(level * by):.2f}H100" for level in levels)
    grid += "".join(f"M{x(mark):.2f} 0V100" for mark in marks)
    path = "L".join(f"{x(at):.2f} {y(value):.2f}" for at, value in points)
    drawn = f'<path class="grid" d="{grid}"/><path class="line" d="M{path}"/>'
    if len(points) == 1:
        drawn += f'<path class="dots" d="M{path}h0"/>'
    left = "".join(
        f'<span style="top:{y(level * by):.1f}%">{label}</span>'
        for level, label in zip(levels, _labels(levels), strict=True)
    )
    below = "".join(
        f'<span style="left:{x(mark):.1f}%">{label}</span>'
        for mark, label in zip(marks, _labels([mark / seconds for mark in marks]), strict=True)
    )
    told = f"{quantity(low, series.unit)} to {quantity(high, series.unit)}, "
    told += f"last {quantity(points[-1][1], series.unit)}, {len(whole):,} points"
    if len(points) < len(whole):
        told += f" drawn as {len(points)} (lowest and highest of each stretch)"
    name = escape(series.name)
    return (
        f'<figure class="series"><figcaption><b>{name}</b> <span class="muted">{escape(told)}'
        f'</span></figcaption><div class="plot"><div class="levels">{left}</div>'
        f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{name}: {escape(told)}">{drawn}</svg><div class="times">{below}</div>'
        f'<div class="level-unit">{escape(unit)}</div><div class="time-unit">{time_unit}</div>'
        f"</div></figure>"
    )
