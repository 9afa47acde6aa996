"""What a run of the bench found, as plain data, and as the JSON file that keeps it.

``run.json`` is read by the next run (``--base``), by people and by their scripts. A field that
changes its meaning changes `FORMAT`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import statistics
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

from tools.problem import Problem, Usage, shown

FORMAT = 1

Outcome = Literal["passed", "failed", "skipped"]

_STRICT: dict[str, Any] = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured, once or often. No value may pass ``limit``, which is in ``unit``.

    Raises ValueError without a value, and for one that is not finite.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    unit: str
    values: tuple[float, ...]
    better: Literal["lower", "higher"] = "lower"
    limit: float | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"figure {self.name!r} has no values")
        if not all(map(math.isfinite, self.values)) or not math.isfinite(self.limit or 0):
            raise ValueError(f"figure {self.name!r} has a number that is not finite")

    def percentile(self, percent: float) -> float:
        """The smallest value that at least ``percent`` % of the values do not exceed.

        The nearest rank: always one of the values, since few are measured.
        """
        rank = math.ceil(len(self.values) * percent / 100)
        return sorted(self.values)[max(rank, 1) - 1]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def p95(self) -> float:
        return self.percentile(95)

    @property
    def max(self) -> float:
        return max(self.values)

    @property
    def worst(self) -> float:
        """The largest value where lower is better, else the smallest."""
        return max(self.values) if self.better == "lower" else min(self.values)

    @property
    def past_limit(self) -> bool:
        if self.limit is None:
            return False
        return self.worst > self.limit if self.better == "lower" else self.worst < self.limit


@dataclass(frozen=True, slots=True)
class Series:
    """A quantity over time; each point is (seconds since the test began, value).

    Raises ValueError for a number that is not finite.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    unit: str
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for point in self.points for number in point):
            raise ValueError(f"series {self.name!r} has a number that is not finite")


@dataclass(frozen=True, slots=True)
class Record:
    """What one test found. ``test`` is pytest's id below ``hil_tests/``.

    ``heap_free_min`` is the lowest count of free bytes that the board told, ``flash_writes`` how
    often its store wrote, ``resets`` the causes of its resets, in words; None is "not asked".
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    test: str
    family: str
    title: str
    outcome: Outcome
    reason: str
    seconds: float
    heap_free_min: int | None = None
    flash_writes: int | None = None
    resets: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    series: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """What was tested: ``device`` is its name in the fleet, ``port`` where it is plugged in."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    kind: Literal["virtual", "real"]
    device: str
    chip: str
    micropython: str
    firmware: str
    port: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the bench. ``missing`` is what is not wired to the board, and what it would be.

    ``began`` is ISO 8601 in UTC, ``machine`` the computer in words, ``planted`` the fault that was
    put into the firmware on purpose, or "". Raises ValueError for a ``began`` that is not UTC.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    began: str
    seconds: float
    board: Board
    machine: str
    capabilities: tuple[str, ...]
    missing: dict[str, str]
    planted: str
    tests: tuple[Record, ...]
    format: int = FORMAT

    def __post_init__(self) -> None:
        try:
            utc = datetime.fromisoformat(self.began).utcoffset() == timedelta(0)
        except ValueError:
            utc = False
        if not utc:
            raise ValueError(f"began is {self.began!r}, which is no ISO 8601 time in UTC")


def to_json(run: Run) -> str:
    """``run`` as JSON, a test a line."""
    head = asdict(run)
    tests = ",\n".join(_dumps(test) for test in head.pop("tests"))
    return f'{_dumps(head)[:-1]},"tests":[\n{tests}\n]}}\n'


def _dumps(data: object) -> str:
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # A line of a board may hold bytes that are no UTF-8; as lone surrogates no reader takes them.
    return text.encode("utf-8", "replace").decode("utf-8")


def from_json(text: str) -> Run:
    """The run that `to_json` wrote. Raises ValueError, which names the field and what is wrong."""
    from pydantic import TypeAdapter, ValidationError

    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {error}") from error
    if not isinstance(data, dict) or "tests" not in data:
        raise ValueError("it is JSON, but not a run of the bench")
    if data.get("format") != FORMAT:
        raise ValueError(f"format is {data.get('format')!r:.40}, this bench reads format {FORMAT}")
    try:
        return TypeAdapter(Run).validate_json(text)
    except ValidationError as error:
        raise ValueError(_first(error.errors())) from error


def _first(errors: list[Any]) -> str:
    path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in errors[0]["loc"])
    said = re.sub("^Value error, ", "", errors[0]["msg"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{path.lstrip('.') or 'the run'}: {said}{more}"


def write(run: Run, path: Path) -> None:
    """Put ``run`` at ``path``. Raises Problem if that cannot be written."""
    put(path, to_json(run))


def read(path: Path) -> Run:
    """The run at ``path``. Raises Usage, which names the file and what is wrong with it."""
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Usage(f"there is no file {shown(path)}; name the run.json of a run") from None
    except IsADirectoryError:
        raise Usage(f"{shown(path)} is a directory; name the run.json in it") from None
    except OSError as error:
        raise Usage(f"{shown(path)} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise Usage(f"{shown(path)} is no run of this bench: {error}") from None


def put(path: Path, text: str) -> None:
    """Make ``text`` the content of ``path`` at one instant, so that no reader sees a part of it.

    Raises Problem if that cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise Problem(f"{shown(path)} cannot be written: {error.strerror}") from None
