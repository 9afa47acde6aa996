"""The picture: what stands in it, whether it can be read, and what is said where there is none."""

import importlib.util
import struct
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from companion import chart as charts
from companion.chart import Chart, ChartError, figure, render


def a_chart(days: int, **usd: float) -> Chart:
    first = date(2026, 11, 21) - timedelta(days - 1)
    amounts = {tier: [value * (n % 3) for n in range(days)] for tier, value in usd.items()}
    share = [None if n % 5 == 4 else 0.9 for n in range(days)]
    return Chart(first.isoformat(), amounts, share, 9 * days, 10 * days)


async def test_an_svg_says_what_is_shown_and_the_same_chart_has_the_same_bytes() -> None:
    chart = Chart(
        "2026-11-20",
        {"commodity": [0.25, 0.5], "premium": [1.0, 0.5], "": [0.0, 0.125]},
        [1.0, 0.5],
        3,
        4,
        note="days are those of Europe/Berlin",
    )
    picture = await render(chart, "svg")
    text = picture.decode()
    for words in (
        "Spending, 2026-11-20 to 2026-11-21: 2.38 USD, 75.0% of 4 asks answered",
        "spent a day, USD",
        "answered, %",
        "commodity  0.75 USD",
        "premium  1.50 USD",
        "edge  0 USD",
        "not answered  0.125 USD",
        "Fri 20 Nov",
        "days are those of Europe/Berlin",
    ):
        assert words.replace("  ", " ") in " ".join(text.split()), words
    assert await render(chart, "svg") == picture


async def test_a_png_is_one() -> None:
    picture = await render(a_chart(3, premium=1), "png")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (1440, 806)


@pytest.mark.parametrize("days", [1, 2, 7, 8, 31, 120, 365])
def test_dates_do_not_overlap_and_all_bars_are_in_the_frame(days: int) -> None:
    drawn = figure(a_chart(days, commodity=0.00002, premium=12))
    FigureCanvasAgg(drawn).draw()
    spend, share = drawn.axes
    boxes = [
        label.get_window_extent()
        for label in share.get_xticklabels()
        if label.get_text()
        and share.get_xlim()[0] <= label.get_position()[0] <= share.get_xlim()[1]
    ]
    assert len(boxes) >= min(days, 4)
    assert all(a.x1 < b.x0 for a, b in pairwise(sorted(boxes, key=lambda box: float(box.x0))))
    whole = drawn.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
    left, right = share.get_xlim()
    bars: list[Any] = list(spend.patches)
    assert all(left <= bar.get_x() and bar.get_x() + bar.get_width() <= right for bar in bars)
    title = drawn.get_suptitle()
    assert title.startswith("Spending, ")


def test_colours_are_told_apart_by_lightness_too() -> None:
    """In grey, as to who sees no colours: between tiers that lie on each other."""

    def lightness(colour: str) -> float:
        channels = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        y = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
        return 116 * float(y ** (1 / 3)) - 16

    shades = [lightness(colour) for colour in charts._COLOURS.values()]
    assert all(abs(a - b) > 10 for a, b in pairwise(shades))


async def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ChartError, match=r"pip install 'ganglion\[chart\]'"):
        await render(a_chart(1), "png")


async def test_what_goes_wrong_while_drawing_is_said_in_a_line() -> None:
    with pytest.raises(ChartError, match="could not draw it: ValueError"):
        await render(Chart("no date", {}, [1.0], 1, 1), "png")


async def test_one_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "DRAWN_IN_S", 0.01)
    with pytest.raises(ChartError, match="did not draw it"):
        await render(a_chart(365, premium=1), "png")
