"""Joules an answer took: from this machine's energy counters, or estimated.

Counters are RAPL's, through Linux's powercap files (Documentation/power/powercap/powercap.rst in
the kernel: ``energy_uj`` wraps at ``max_energy_range_uj``), and NVML's total energy of each GPU.
What the machine draws without answering is taken off. The rest is divided, interval by interval,
in equal parts among the answers that were under way in it, so that all shares together are what
was drawn and nothing is counted twice. Whatever else runs on the machine is counted to them.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

log = logging.getLogger(__name__)

POWERCAP: Final = Path("/sys/class/powercap")
_UJ_PER_MJ: Final = 1_000
_UJ_PER_J: Final = 1_000_000

MEASURED: Final = "measured"
ESTIMATED: Final = "estimated"


class Settings(Protocol):
    """What is configured (``config.model.EnergyConfig``)."""

    @property
    def measure(self) -> bool: ...
    @property
    def idle_watts(self) -> float | None: ...
    @property
    def idle_s(self) -> float: ...


class Consumer(Protocol):
    """Who draws it (``backends.base.Card``)."""

    @property
    def name(self) -> str: ...
    @property
    def here(self) -> bool: ...
    @property
    def watts(self) -> float | None: ...
    @property
    def joules_per_token(self) -> float | None: ...


class Span(Protocol):
    """One answer under way. It must be ended, whatever became of it, or it goes on taking its
    share of what others draw."""

    def end(self, tokens: int) -> tuple[int, str]:
        """Millijoules, and how they are known: ``measured``, ``estimated`` or "" for not at all.
        ``tokens``: of input and output together. Ended a second time it adds nothing."""
        ...


class Counter(Protocol):
    """Something that counts up."""

    def read_uj(self) -> int:
        """Microjoules since some moment. Raises CounterError."""
        ...


class CounterError(Exception):
    """A counter cannot be read; the message says which and why."""


# -- counters


@dataclass(slots=True)
class RaplZone:
    """One zone of powercap, its wraps undone."""

    file: Path
    range_uj: int
    _last_uj: int = -1
    _sum_uj: int = 0

    def read_uj(self) -> int:
        try:
            now_uj = int(self.file.read_bytes())
        except (OSError, ValueError) as error:
            raise CounterError(f"{self.file}: {error}") from None
        if self._last_uj >= 0:
            step_uj = now_uj - self._last_uj
            self._sum_uj += step_uj if step_uj >= 0 else step_uj + self.range_uj
        self._last_uj = now_uj
        return self._sum_uj


def rapl_zones(root: Path) -> list[RaplZone]:
    """The zones that together are the machine's processors and memory, each once: packages, and
    ``dram`` where it is apart. ``core`` and ``uncore`` are parts of a package; ``psys`` holds the
    packages. Raises CounterError where there are zones that may not be read."""
    zones = []
    for folder in sorted(root.glob("intel-rapl:*")):
        try:
            name = (folder / "name").read_text().strip()
            if not (name.startswith("package") or name == "dram"):
                continue
            zone = RaplZone(
                folder / "energy_uj", int((folder / "max_energy_range_uj").read_bytes())
            )
        except (OSError, ValueError) as error:
            raise CounterError(f"{folder}: {error}") from None
        zone.read_uj()
        zones.append(zone)
    return zones


@dataclass(slots=True)
class _Gpu:
    nvml: Any
    handle: Any

    def read_uj(self) -> int:
        try:
            return int(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) * _UJ_PER_MJ
        except self.nvml.NVMLError as error:
            raise CounterError(f"NVML: {error}") from None


def gpus() -> list[_Gpu]:
    """The GPUs that count their energy (Volta and later); none without ``pynvml`` or a driver."""
    try:
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return []
    found = []
    try:
        pynvml.nvmlInit()
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        for gpu in [_Gpu(pynvml, handle) for handle in handles]:
            try:
                gpu.read_uj()
            except CounterError as error:
                log.info("energy of one GPU is not measured: %s", error)
            else:
                found.append(gpu)
    except pynvml.NVMLError as error:
        log.info("energy of GPUs is not measured: NVML: %s", error)
    return found


# -- shares


@dataclass(slots=True, eq=False)
class _Part:
    uj: int = 0


@dataclass(slots=True)
class Shared:
    """Divides what ``read_uj`` counts among those that are in at the time.

    All in integers: a division's rest goes to whoever came first, a millijoule's rest to whoever
    ends next. While anybody is in, the sum of all shares is what was counted, to the microjoule.
    """

    read_uj: Callable[[], int]
    _in: list[_Part] = field(default_factory=list)
    _last_uj: int = 0
    _rest_uj: int = 0

    def enter(self) -> _Part:
        """Raises CounterError."""
        self._divide()
        part = _Part()
        self._in.append(part)
        return part

    def leave(self, part: _Part) -> int:
        """Its millijoules. Raises CounterError; it is out in any case."""
        try:
            self._divide()
        finally:
            self._in.remove(part)
        whole_mj, self._rest_uj = divmod(part.uj + self._rest_uj, _UJ_PER_MJ)
        if whole_mj < 0:
            # Less than idle is noise: nobody gives energy back, the next one gets less. When
            # nobody is left the debt goes, or a wrong idle would be charged for ever.
            debt_uj = whole_mj * _UJ_PER_MJ + self._rest_uj
            self._rest_uj = debt_uj if self._in else 0
            return 0
        return whole_mj

    def _divide(self) -> None:
        now_uj = self.read_uj()
        if self._in:
            each_uj, rest_uj = divmod(now_uj - self._last_uj, len(self._in))
            for part in self._in:
                part.uj += each_uj
            self._in[0].uj += rest_uj
        self._last_uj = now_uj


# -- what the router calls


class Energy:
    """Energy of the answers of one companion.

    ``begin`` and the end of a span read the counters only for who computes on this machine (a
    file of powercap takes some 10 µs), and nothing at all where there are none.
    """

    def __init__(
        self,
        config: Settings,
        *,
        root: Path = POWERCAP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``root``: the folder of powercap. ``clock``: seconds."""
        self._config = config
        self._root = root
        self._clock = clock
        self._counters: list[Counter] = []
        self._idle_watts: float | None = None
        self._drawn = Shared(self._above_idle_uj)
        self._machines: dict[tuple[str, float], Shared] = {}
        self._begun = 0
        self._open_here = 0

    @property
    def measures(self) -> bool:
        """Whether answers of this machine are being measured."""
        return self._idle_watts is not None

    async def start(self) -> None:
        """Find the counters, and measure what the machine draws without answering unless that is
        configured. Takes ``idle_s`` then, and again as long as an answer falls into it; what is
        begun before it is done is estimated."""
        if not self._config.measure:
            return
        try:
            self._counters = [*rapl_zones(self._root), *gpus()]
            if not self._counters:
                return
            watts = self._config.idle_watts
            while watts is None:
                watts = await self._undisturbed_watts()
        except CounterError as error:
            self._give_up(error)
            return
        self._idle_watts = watts
        log.info("energy is measured; this machine draws %.1f W without answering", watts)

    def begin(self, card: Consumer) -> Span:
        """An answer of this backend begins. Never raises."""
        if card.here and self._counters:
            span = self._begin_here(card)
            if span is not None:
                return span
        return self._estimate(card)

    def _begin_here(self, card: Consumer) -> Span | None:
        self._begun += 1
        part = None
        if self.measures:
            try:
                part = self._drawn.enter()
            except CounterError as error:
                self._give_up(error)
                return None
        self._open_here += 1
        return _Here(self, part, self._estimate(card))

    def _end_here(self, part: _Part | None) -> int | None:
        self._open_here -= 1
        if part is None or not self.measures:
            return None
        try:
            return self._drawn.leave(part)
        except CounterError as error:
            self._give_up(error)
            return None

    def _estimate(self, card: Consumer) -> Span:
        if card.watts is not None:
            # What its owner says of the very machine comes before what is published of a model.
            # The configuration may be read again, with other watts.
            machine = card.name, card.watts
            shared = self._machines.get(machine)
            if shared is None:
                uw = round(card.watts * _UJ_PER_J)
                shared = self._machines[machine] = Shared(lambda: round(self._clock() * uw))
            return _Powered(shared, shared.enter())
        if card.joules_per_token is not None:
            return _PerToken(card.joules_per_token)
        return _UNKNOWN

    def _above_idle_uj(self) -> int:
        assert self._idle_watts is not None
        idle_uj = round(self._clock() * self._idle_watts * _UJ_PER_J)
        return self._counted_uj() - idle_uj

    def _counted_uj(self) -> int:
        return sum(counter.read_uj() for counter in self._counters)

    async def _undisturbed_watts(self) -> float | None:
        begun, open_ = self._begun, self._open_here
        since, from_uj = self._clock(), self._counted_uj()
        await asyncio.sleep(self._config.idle_s)
        took_s = self._clock() - since
        if open_ or self._begun != begun or took_s <= 0:
            return None
        return (self._counted_uj() - from_uj) / _UJ_PER_J / took_s

    def _give_up(self, error: CounterError) -> None:
        log.info(
            "energy is estimated where that can be, not measured: %s (see docs/energy.md)", error
        )
        # Nothing is read again, so that this is said once.
        self._counters = []
        self._idle_watts = None


@dataclass(slots=True)
class _Here:
    """Of this machine: measured, or what ``otherwise`` estimates."""

    energy: Energy
    part: _Part | None
    otherwise: Span
    ended: bool = False

    def end(self, tokens: int) -> tuple[int, str]:
        guess = self.otherwise.end(tokens)
        if self.ended:
            return 0, guess[1] if self.part is None else MEASURED
        self.ended = True
        mj = self.energy._end_here(self.part)
        return guess if mj is None else (mj, MEASURED)


@dataclass(slots=True)
class _Powered:
    """Watts times the time it took, shared with others at the same machine."""

    shared: Shared
    part: _Part
    ended: bool = False

    def end(self, tokens: int) -> tuple[int, str]:
        if self.ended:
            return 0, ESTIMATED
        self.ended = True
        return self.shared.leave(self.part), ESTIMATED


@dataclass(slots=True)
class _PerToken:
    joules: float
    ended: bool = False

    def end(self, tokens: int) -> tuple[int, str]:
        mj = 0 if self.ended else round(self.joules * max(tokens, 0) * 1000)
        self.ended = True
        return mj, ESTIMATED


class _Unknown:
    def end(self, tokens: int) -> tuple[int, str]:
        return 0, ""


_UNKNOWN: Final = _Unknown()
