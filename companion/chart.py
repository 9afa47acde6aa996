"""What was spent each day, as a picture: USD by tier, and the share of asks that were answered.

matplotlib (the extra ``chart``) draws it in a process of its own, this file run as a script: it
takes 60 MB and a second, and the companion is to have neither.
"""

import asyncio
import contextlib
import importlib.util
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Chart", "ChartError", "Format", "render"]

Format: TypeAlias = Literal["png", "svg"]
DRAWN_IN_S: Final = 60.0
"""The first time on a machine matplotlib reads all of its fonts."""

# Okabe and Ito's colours, which people with any colour vision tell apart (Color Universal Design,
# 2008); nobody's answers are grey.
_COLOURS: Final = {
    "edge": "#009E73",
    "commodity": "#E69F00",
    "premium": "#0072B2",
    "": "#999999",
}
_NAMES: Final = {"": "not answered"}
_DOTS_UP_TO_DAYS: Final = 45
_INCHES: Final = (10.0, 5.6)
_DOTS_PER_INCH: Final = 144


@dataclass(frozen=True, slots=True)
class Chart:
    """One value a day, from ``first`` on, days without asks included."""

    first: str
    """``2026-11-01``"""
    usd: Mapping[str, Sequence[float]]
    """Tier, or "" for what nobody answered, → USD of each day."""
    share: Sequence[float | None]
    """Of the asks of each day, how many were answered, 0 to 1; None where there were none."""
    answered: int
    asks: int
    note: str = ""
    """A line below the picture."""


class ChartError(Exception):
    """There is no picture; the message says why and what to do."""


_one_at_a_time = asyncio.Semaphore(1)


async def render(chart: Chart, format_: Format) -> bytes:
    """The picture. Raises ChartError."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ChartError("charts want matplotlib: pip install 'ganglion[chart]'")
    async with _one_at_a_time:
        # -P: else this folder would come before the standard library.
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", __file__, format_,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            picture, complaint = await asyncio.wait_for(
                child.communicate(json.dumps(asdict(chart)).encode()), DRAWN_IN_S
            )
        except TimeoutError:
            raise ChartError(f"matplotlib did not draw it in {DRAWN_IN_S:.0f} s") from None
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
                await child.wait()
    if child.returncode:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise ChartError(f"matplotlib could not draw it: {last or child.returncode}")
    return picture


def draw(chart: Chart, format_: Format) -> bytes:
    """The picture, drawn here and now. Wants matplotlib."""
    drawn = figure(chart)
    into = io.BytesIO()
    metadata = {"Date": None} if format_ == "svg" else None
    drawn.savefig(into, format=format_, dpi=_DOTS_PER_INCH, metadata=metadata)
    return into.getvalue()


def figure(chart: Chart) -> "Figure":
    """The same as matplotlib's own object."""
    import matplotlib as mpl

    # Text stays text in an SVG; the same chart has the same bytes.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ganglion", "font.size": 10})
    from matplotlib.figure import Figure

    days = [date.fromisoformat(chart.first) + timedelta(n) for n in range(len(chart.share))]
    # Without pyplot: no window system is looked for, and nothing is kept.
    drawn = Figure(figsize=_INCHES, layout="constrained")
    spend, share = drawn.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    total = sum(map(sum, chart.usd.values()))
    _stack(spend, days, chart.usd)
    spend.set_ylabel("spent a day, USD")
    title = _title(chart, days, total)
    drawn.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    if not total:
        spend.set_ylim(0, 1)
        spend.text(0.5, 0.5, "nothing was spent", transform=spend.transAxes, ha="center")
    _line(share, days, chart.share)
    share.set_ylabel("answered, %")
    _dates(share, days)
    share.set_xlabel(chart.note or "day", fontsize=9)
    for axes in (spend, share):
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return drawn


def _title(chart: Chart, days: Sequence[date], total: float) -> str:
    when = f"{days[0].isoformat()}"
    if len(days) > 1:
        when += f" to {days[-1].isoformat()}"
    answered = f"{chart.answered / chart.asks:.1%} of {chart.asks:,} asks answered"
    spent = f"{_usd(total)} USD, {answered}" if chart.asks else "nobody asked"
    return f"Spending, {when}: {spent}"


def _stack(axes: "Axes", days: Sequence[date], usd: Mapping[str, Sequence[float]]) -> None:
    below = [0.0] * len(days)
    # Bars that touch where they are thin: gaps would flicker.
    width = 0.8 if len(days) <= _DOTS_UP_TO_DAYS else 1.0
    for tier, colour in _COLOURS.items():
        amounts = usd.get(tier, [0.0] * len(days))
        if not tier and not any(amounts):
            continue
        label = f"{_NAMES.get(tier, tier)}  {_usd(sum(amounts))} USD"
        axes.bar(days, amounts, width, below, color=colour, label=label, linewidth=0)  # type: ignore[arg-type]
        below = [a + b for a, b in zip(below, amounts, strict=True)]
    axes.set_ylim(0, max(below) * 1.08 or 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.7f}".rstrip("0").rstrip("."))
    # Above the bars and not over them.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(_COLOURS), frameon=False)


def _line(axes: "Axes", days: Sequence[date], share: Sequence[float | None]) -> None:
    percent = [float("nan") if value is None else value * 100 for value in share]
    few = len(days) <= _DOTS_UP_TO_DAYS
    axes.plot(days, percent, color="#333333", linewidth=1.2, marker="o", markersize=4 if few else 1)  # type: ignore[arg-type]
    known = [value for value in percent if value == value]
    # From 0 unless all is well: the differences between 97 and 99 % are what one looks for.
    floor = 0 if not known or min(known) < 80 else 80
    axes.set_ylim(floor, 100 + (100 - floor) * 0.08)
    axes.set_yticks([0, 50, 100] if floor == 0 else [80, 90, 100])


def _dates(axes: "Axes", days: Sequence[date]) -> None:
    from matplotlib import dates

    edge = timedelta(days=0.6 if len(days) > 3 else 1.5)
    start = dates.date2num(days[0]) - edge / timedelta(days=1)  # type: ignore[no-untyped-call]
    end = dates.date2num(days[-1]) + edge / timedelta(days=1)  # type: ignore[no-untyped-call]
    axes.set_xlim(start, end)
    if len(days) <= 7:
        axes.set_xticks(days, [f"{day:%a} {day.day} {day:%b}" for day in days])  # type: ignore[arg-type]
        return
    locator = dates.AutoDateLocator(minticks=4, maxticks=13)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)


def _usd(amount: float) -> str:
    """As many digits as a small amount needs: ``12.34``, ``0.0056``, ``0``."""
    if amount >= 1 or not amount:
        return f"{amount:,.2f}".removesuffix(".00") if amount < 1000 else f"{amount:,.0f}"
    return f"{amount:.3g}" if amount >= 1e-4 else "under 0.0001"


def main() -> None:
    """The script: a chart as JSON on stdin, the picture on stdout."""
    given: dict[str, Any] = json.load(sys.stdin)
    format_: Format = "svg" if sys.argv[1] == "svg" else "png"
    sys.stdout.buffer.write(draw(Chart(**given), format_))


if __name__ == "__main__":
    main()
