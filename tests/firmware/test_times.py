"""Cron lines, time zones and the sun on MicroPython, against other people's code on CPython.

Each comparison is some 10,000 seeded random cases. The firmware's modules answer them in one
process of the virtual board's MicroPython (units/_times.py); croniter, zoneinfo and astral say
what is right.
"""

import ast
import bisect
import importlib
import itertools
import math
import random
import struct
import subprocess
import sys
import zoneinfo
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from io import BytesIO
from pathlib import Path
from types import ModuleType

import astral
import astral.sun
import croniter
import numpy
import pytest

from companion import zones
from tools import paths, runtime

FIRMWARE = paths.ROOT / "firmware"
CASES = 10_000
EPOCH = datetime(1970, 1, 1)


def answers(cases: list[str]) -> list[str]:
    """What the chip's code says to each case, see units/_times.py."""
    script = Path(__file__).parent / "units/_times.py"
    command = [*runtime.micropython().command, "-X", "heapsize=1m", str(script), str(FIRMWARE)]
    done = subprocess.run(
        command, input="\n".join(cases) + "\n", capture_output=True, text=True, timeout=100
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == len(cases), (
        f"at {cases[min(len(lines), len(cases) - 1)]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
    )
    return lines


# ---- cron


def cron_field(draw: random.Random, low: int, high: int, names: str) -> str:
    words = [names[n : n + 3] for n in range(0, len(names), 3)]

    def value() -> str:
        if words and draw.random() < 0.5:
            return draw.choice([str.lower, str.title, str.upper])(draw.choice(words))
        return str(draw.randint(low, high))

    def item() -> str:
        form = draw.randrange(8)
        if form < 4:
            return value()
        if form < 7:
            # croniter takes 5-5 for the whole field; crontab(5) and we for 5.
            a, b = draw.sample(range(low, high + 1), 2)
            # Over the end of a field it counts the steps of a range one short, and reads 28-3 by
            # the length of the month at hand; we go by 31 days.
            if form == 6 or high == 31:
                a, b = min(a, b), max(a, b)
            if form == 6:
                return f"{a}-{b}/{draw.randint(1, max(1, (high - low) // 2))}"
            return f"{a}-{b}"
        return f"{draw.randint(low, high)}/{draw.randint(2, max(2, (high - low) // 2))}"

    form = draw.randrange(10)
    if form < 4:
        return "*"
    if form < 5:
        return f"*/{draw.randint(2, max(2, (high - low) // 2))}"
    return ",".join(item() for _ in range(draw.choice((1, 1, 1, 2, 3))))


CRON_FIELDS = (
    (0, 59, ""),
    (0, 23, ""),
    (1, 31, ""),
    (1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"),
    (0, 6, "sunmontuewedthufrisat"),
)


def test_cron_against_croniter() -> None:
    draw = random.Random(3)
    cases, want = [], []
    while len(cases) < CASES:
        line = " ".join(cron_field(draw, *field) for field in CRON_FIELDS)
        start = datetime(2000, 1, 1) + timedelta(minutes=draw.randrange(99 * 525_960))
        try:
            following = croniter.croniter(
                line, start, implement_cron_bug=True, max_years_between_matches=8
            ).get_next(datetime)
        except croniter.CroniterBadDateError:
            continue
        if following.year > start.year + 8:
            continue
        cases.append(f"cron;{line};" + ";".join(map(str, start.timetuple()[:5])))
        want.append(str(tuple(following.timetuple()[:5])))
    wrong = [(c, g, w) for c, g, w in zip(cases, answers(cases), want, strict=True) if g != w]
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"


# ---- zones


def tzif(name: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", name).read_bytes()


def last_listed(data: bytes) -> int:
    """The last change in a TZif file's table (RFC 8536, section 3.1)."""

    def header(at: int) -> tuple[int, ...]:
        assert data[at : at + 4] == b"TZif"
        return struct.unpack(">6l", data[at + 20 : at + 44])

    isut, isstd, leap, times, kinds, chars = header(0)
    second = 44 + times * 5 + kinds * 6 + chars + leap * 8 + isstd + isut
    times = header(second)[3]
    listed = struct.unpack(f">{times}q", data[second + 44 : second + 44 + 8 * times])
    return listed[-1] if listed else 0


def footer_only(posix: str) -> zoneinfo.ZoneInfo:
    """A zone that is nothing but its POSIX string."""
    empty = b"TZif3" + bytes(15)
    block = empty + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + bytes(6) + b"AAA\0"
    return zoneinfo.ZoneInfo.from_file(BytesIO(block + block + f"\n{posix}\n".encode()))


# In a rule `n`, days from 0, zoneinfo counts from 1 (seen in CPython 3.11.7; POSIX, RFC 8536 and
# glibc count from 0). The oracle gets n + 1 as long as that is so.
def ordinal_shift() -> int:
    zone = footer_only("AAA0BBB,59/0,J300/0")  # 1 March 2026
    return 0 if datetime.fromtimestamp(1772323199, zone).dst() == timedelta(0) else 1


def changes(zone: zoneinfo.ZoneInfo, year: int) -> list[int]:
    """Instants of a year at which the zone's offset changes."""

    def east(at: int) -> timedelta | None:
        return datetime.fromtimestamp(at, zone).utcoffset()

    first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    days = [first + n * 5 * 86400 for n in range(74)]
    found = []
    for a, b in itertools.pairwise(days):
        before = east(a)
        if before != east(b):
            found.append(a + bisect.bisect_left(range(a, b), True, key=lambda t: east(t) != before))
    return found


def zone_cases(
    draw: random.Random, posix: str, zone: zoneinfo.ZoneInfo, since: int, count: int
) -> tuple[list[str], list[str]]:
    """Half of them within three hours of a change."""
    cases, want = [], []
    end = 4102444800  # 2100
    for n in range(count):
        at = draw.randrange(max(since, 946684800), end)
        if n % 2:
            near = changes(
                zone, draw.randrange(max(2001, EPOCH.year + since // 31556952 + 1), 2100)
            )
            if near:
                at = draw.choice(near) + draw.choice((-1, 0, 1, draw.randint(-10800, 10800)))
        there = datetime.fromtimestamp(at, zone)
        east, summer = there.utcoffset(), there.dst()
        assert east is not None
        cases.append(f"offset;{posix};{at}")
        local = tuple(there.timetuple()[:5])
        want.append(f"({int(east.total_seconds())}, {bool(summer)}) {local}")
        # Back, and a time of day that the clock may jump over.
        if n % 2:
            there = (EPOCH + timedelta(seconds=at + draw.randint(-50000, 50000))).replace(
                second=0, microsecond=0, tzinfo=zone
            )
        there = there.replace(second=0, fold=0)
        first = int(there.timestamp())
        if datetime.fromtimestamp(first, zone).timetuple()[:6] != there.timetuple()[:6]:
            # It does not exist. PEP 495: fold=0 counts by the offset before the gap.
            before = int(there.replace(fold=1).timestamp())
            old = datetime.fromtimestamp(before, zone).utcoffset()
            first = bisect.bisect_left(
                range(first),
                True,
                lo=before,
                key=lambda t: datetime.fromtimestamp(t, zone).utcoffset() != old,
            )
        cases.append(f"unix;{posix};" + ";".join(map(str, there.timetuple()[:5])))
        want.append(str(first))
    return cases, want


def compare(cases: list[str], want: list[str]) -> None:
    wrong = [(c, g, w) for c, g, w in zip(cases, answers(cases), want, strict=True) if g != w]
    assert not wrong, f"{len(wrong)} of {len(cases)}: {wrong[:5]}"


def test_zones_against_zoneinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each IANA zone by its POSIX string, from the last change its file lists until 2100."""
    monkeypatch.setattr(zones.zoneinfo, "TZPATH", ())  # the package's: the same on every machine
    draw = random.Random(4)
    cases: list[str] = []
    want: list[str] = []
    names = sorted(n for n in zones.names() if n != "localtime")
    for name in names:
        data = tzif(name)
        zone = zoneinfo.ZoneInfo.from_file(BytesIO(data))
        more = zone_cases(draw, zones.posix(name), zone, last_listed(data), 1 + CASES // len(names))
        cases += more[0]
        want += more[1]
    compare(cases, want)


def random_posix(draw: random.Random, shift: int) -> tuple[str, str]:
    """A string for us and, where zoneinfo reads one otherwise, the string for zoneinfo."""

    def clock(hours: int, signs: str) -> str:
        text = draw.choice(["", *signs]) + str(draw.randint(0, hours))
        return text + draw.choice(["", "", ":30", ":15:20"])

    def rule(month: int) -> str:
        day = (month - 1) * 30 + draw.randint(1, 28)
        form = draw.choice(
            [f"M{month}.{draw.randint(1, 5)}.{draw.randint(0, 6)}", f"J{day}", f"{day}"]
        )
        time = draw.choice(["", "/" + clock(24, "+-"), "/" + clock(166, "+-")])
        theirs = f"{int(form) + shift}" if form.isdigit() else form
        return form + time, theirs + time

    standard = draw.choice(("AAA", "<+03>", "<-0330>", "Longer"))
    start = draw.choice((3, 4, 10, 9))
    end = (start + 5) % 12 + 1
    if draw.random() < 0.1:
        return (standard + clock(14, "-+"),) * 2
    hours = draw.randint(-14, 11)
    summer = draw.choice(("", str(hours - 2), f"{hours - 1}:30"))
    head = f"{standard}{hours}{draw.choice(('BBB', '<+04>'))}{summer},"
    first, second = rule(start), rule(end)
    return head + f"{first[0]},{second[0]}", head + f"{first[1]},{second[1]}"


def test_made_up_zones_against_zoneinfo() -> None:
    draw = random.Random(5)
    shift = ordinal_shift()
    cases: list[str] = []
    want: list[str] = []
    while len(cases) < CASES:
        posix, theirs = random_posix(draw, shift)
        more = zone_cases(draw, posix, footer_only(theirs), 946684800, 10)
        cases += more[0]
        want += more[1]
    compare(cases, want)


# ---- the sun


class Single(ast.NodeTransformer):
    """Rounds every float to 32 bits as it comes about: constants, operations, calls."""

    def _rounded(self, node: ast.expr) -> ast.expr:
        self.generic_visit(node)
        name = ast.Name("_single", ast.Load())
        return ast.copy_location(ast.Call(name, [node], []), node)

    visit_Constant = visit_BinOp = visit_Call = visit_Attribute = _rounded

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        assert isinstance(node.target, ast.Name)
        value = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        plain = ast.copy_location(ast.Assign([node.target], value), node)
        return self.visit(ast.fix_missing_locations(plain))

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node  # docstrings


def single(noise: Callable[[], float] | None = None) -> ModuleType:
    """sun.py as a chip with single precision runs it; `noise` scales each result by 1 + it."""

    def rounded(value: object) -> object:
        if not isinstance(value, float):
            return value
        return float(numpy.float32(value * (1 + noise()) if noise else value))

    tree = ast.parse((FIRMWARE / "ganglion/sun.py").read_text())
    tree = ast.fix_missing_locations(Single().visit(tree))
    module = ModuleType("ganglion.sun_single")
    module.__package__ = "ganglion"
    module.__dict__["_single"] = rounded
    exec(compile(tree, "sun.py", "exec"), module.__dict__)
    return module


@pytest.fixture
def ganglion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FIRMWARE))
    importlib.import_module("ganglion.civil")


Case = tuple[date, float, float]


def sun_cases(draw: random.Random, count: int, most: float = 65) -> list[Case]:
    days = (date(2100, 1, 1) - date(2000, 1, 1)).days
    return [
        (
            date(2000, 1, 1) + timedelta(draw.randrange(days)),
            round(draw.uniform(-most, most), 3),
            round(draw.uniform(-180, 180), 3),
        )
        for _ in range(count)
    ]


def by_astral(case: Case, found: int, direction: astral.SunDirection) -> float | None:
    """Minutes between `found` and the nearest event that astral knows.

    astral asks for the UTC day of an event and skips some that are next to its midnight, so
    those are left out: None.
    """
    _, lat, lon = case
    when = EPOCH + timedelta(seconds=found)
    if abs((when.hour * 60 + when.minute + 720) % 1440 - 720) < 6:
        return None
    there = astral.Observer(lat, lon)
    errors = []
    for n in (-1, 0, 1):
        day = when.date() + timedelta(n)
        event = astral.sun.time_of_transit(there, day, 90.8333, direction, False)
        errors.append((when - event.replace(tzinfo=None)).total_seconds() / 60)
    return min(errors, key=abs)


def worst(cases: list[Case], found: list[tuple[int | None, int | None]]) -> dict[int, float]:
    """The largest error in minutes, by latitude in steps of 10 degrees."""
    errors: dict[int, float] = {}
    compared = 0
    for case, events in zip(cases, found, strict=True):
        sides = (astral.SunDirection.RISING, astral.SunDirection.SETTING)
        for at, direction in zip(events, sides, strict=True):
            assert at is not None, case
            error = by_astral(case, at, direction)
            if error is not None:
                compared += 1
                band = int(abs(case[1])) // 10 * 10
                errors[band] = max(errors.get(band, 0), abs(error))
    assert compared > 1.95 * len(cases)
    print({band: round(error, 3) for band, error in sorted(errors.items())}, compared)
    return errors


def test_sun_against_astral() -> None:
    cases = sun_cases(random.Random(6), CASES)
    lines = answers([f"sun;{d.year}-{d.month}-{d.day};{lat};{lon}" for d, lat, lon in cases])
    found = [ast.literal_eval(line) for line in lines]
    assert max(worst(cases, found).values()) < 0.5


def test_sun_in_single_precision(ganglion: None) -> None:
    """The same code with every float rounded to the chip's 24 bits, and then with the last two
    bits of every result at random as well, for a chip whose sine is not quite right."""
    cases = sun_cases(random.Random(7), CASES)
    exact = importlib.import_module("ganglion.sun")
    rounded = single()
    draw = random.Random(8)
    rough = single(lambda: draw.uniform(-2, 2) * 2**-23)
    assert math.pi / 180 != rounded._DEGREE == pytest.approx(math.pi / 180, rel=2**-24)
    found = []
    for number, (day, lat, lon) in enumerate(cases):
        where = (day.year, day.month, day.day, lat, lon)
        times = exact.times(*where)
        found.append(rounded.times(*where))
        assert all(abs(a - b) <= 3 for a, b in zip(times, found[-1], strict=True)), where
        if number % 5 == 0:
            shaken = rough.times(*where)
            assert all(abs(a - b) <= 15 for a, b in zip(times, shaken, strict=True)), where
    assert max(worst(cases, found).values()) < 0.5


def test_no_sunrise_where_astral_has_none(ganglion: None) -> None:
    """Past the polar circles. Within half a degree of where the sun just touches the horizon
    the two may differ, as any two would: refraction alone varies by more."""
    chip = single()
    decided = 0
    for day, lat, lon in sun_cases(random.Random(9), 4000, 89):
        if abs(lat) < 60:
            continue
        at = datetime(day.year, day.month, day.day) + timedelta(hours=12 - lon / 15)
        centuries = (at - datetime(2000, 1, 1, 12)).total_seconds() / 86400 / 36525
        tilt = astral.sun.sun_declination(centuries)
        noon, midnight = 90 - abs(lat - tilt), abs(lat + tilt) - 90
        if min(abs(noon + 0.833), abs(midnight + 0.833)) < 0.5:
            continue
        decided += 1
        never = noon < -0.833 or midnight > -0.833
        times = chip.times(day.year, day.month, day.day, lat, lon)
        assert (times == (None, None)) == never, (day, lat, lon, times)
    assert decided > 1000
    assert "ganglion.civil" in sys.modules
