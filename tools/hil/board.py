"""The board as a test sees it: the same at a chip and at the virtual board."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final, Protocol

from companion.update import Package
from tools.hil.line import SerialLine
from tools.hil.wire import Heard, Wire

ONLINE_S: Final = 60.0
_ANSWER_S: Final = 30.0
_HEALTHY_S: Final = 12.0
"""A boot that ends in its first ten seconds counts as a failed one; a slow one begins late."""
_SHORT_BOOTS_MAX: Final = 3


class Hands(Protocol):
    """What holds the board: the only part that differs between the kinds."""

    kind: str
    """``virtual`` or ``real``"""
    line: SerialLine

    def reset(self) -> None:
        """The button EN."""

    def power(self, on: bool) -> None:
        """The supply, where it can be switched."""

    def wifi(self, on: bool) -> None:
        """The access point, where it can be switched."""


class Updater(Protocol):
    def update(self, made: Package, older: bool) -> str:
        """Begin; the job's id."""

    def update_job(self, job: str) -> dict[str, Any]:
        """How far it is, as `GET /updates/{id}` tells."""

    def say(self, text: str) -> dict[str, Any]:
        """A turn, as `POST /devices/{d}/say` returns it."""


class Refused(AssertionError):
    """A tool answered with an error; ``code`` is the receipt's."""

    def __init__(self, tool: str, receipt: dict[str, Any]) -> None:
        super().__init__(f"{tool}: {receipt}")
        self.receipt = receipt
        self.code = str(receipt["err"])


class Board:
    """One board that is provisioned for the bench's broker."""

    def __init__(self, hands: Hands, wire: Wire, updater: Updater) -> None:
        self.hands = hands
        self.line = hands.line
        self.wire = wire
        self._updater = updater
        self._short_boots = 0
        self._booted_s = time.monotonic()

    @property
    def is_virtual(self) -> bool:
        return self.hands.kind == "virtual"

    # ---- who is there

    @property
    def status(self) -> dict[str, Any]:
        """The last status; {} where there was none."""
        told = self.wire.of("status")
        return told[-1].body if told else {}

    @property
    def boot(self) -> int:
        """The boot counter that the last status had; 0 before the first."""
        return int(self.status.get("boot", 0))

    @property
    def is_online(self) -> bool:
        return bool(self.status.get("online"))

    def online(self, after: int = -1, seconds: float = ONLINE_S, since_s: float = 0.0) -> int:
        """Wait until it is there, and knows the time, in a boot later than ``after``; that boot.

        ``since_s``: a status that came since then counts, not one from before. TimeoutError.
        """
        until = time.monotonic() + seconds
        while True:
            for heard in reversed(self.wire.of("status", since_s)):
                status = heard.body
                if status["boot"] > after:
                    if status["online"] and status["clock"]:
                        return int(status["boot"])
                    break
            if time.monotonic() > until:
                raise TimeoutError(
                    f"the board did not come online within {seconds:g} s; its line: "
                    f"{self.line.since()[-1500:]}"
                )
            time.sleep(0.005)

    def offline(self, seconds: float = ONLINE_S) -> None:
        """Wait until the broker tells its will. TimeoutError."""
        until = time.monotonic() + seconds
        while self.is_online:
            if time.monotonic() > until:
                raise TimeoutError(f"the broker has not missed the board within {seconds:g} s")
            time.sleep(0.005)

    # ---- asking it

    def ask(self, tool: str, /, seconds: float = _ANSWER_S, **args: Any) -> dict[str, Any]:
        """The receipt of one call, a refusal's too."""
        body = self.wire.command(self.boot, tool=tool, args=args)
        return dict(self.wire.exchange("do", "done", body, seconds).body["receipt"])

    def do(self, tool: str, /, seconds: float = _ANSWER_S, **args: Any) -> dict[str, Any]:
        """The receipt of one call. Refused where it has an error."""
        receipt = self.ask(tool, seconds, **args)
        if "err" in receipt:
            raise Refused(tool, receipt)
        return receipt

    def refused(self, tool: str, /, **args: Any) -> str:
        """The code of a refusal; AssertionError where it was done."""
        receipt = self.ask(tool, **args)
        assert "err" in receipt, f"{tool} {args} was not refused: {receipt}"
        return str(receipt["err"])

    def say(self, text: str) -> dict[str, Any]:
        """What a sentence came to."""
        return self._updater.say(text)

    def level(self, pin: int) -> int:
        """What the board reads at that pad."""
        return int(self.do("gpio_read", pin=pin)["level"])

    # ---- what it tells

    def events(self, kind: str, since_s: float = 0.0, **fields: Any) -> list[Heard]:
        """Each once: an event may come twice, with its `boot` and `n`."""
        seen: dict[tuple[int, int], Heard] = {}
        for heard in self.wire.of("event", since_s, kind=kind, **fields):
            seen.setdefault((heard.body["boot"], heard.body["n"]), heard)
        return list(seen.values())

    def wait_event(
        self, kind: str, seconds: float = _ANSWER_S, since_s: float = 0.0, **fields: Any
    ) -> Heard:
        """The first such event since then. TimeoutError."""
        return self.wire.wait("event", seconds, since_s, kind=kind, **fields)

    @property
    def sessions(self) -> int:
        """With the broker, in this boot."""
        return int(self.do("get_diagnostics", scope="link")["link"]["sessions"])

    @property
    def heap(self) -> dict[str, int]:
        """Bytes ``free`` and ``used``, after a collection."""
        return dict(self.do("get_diagnostics", scope="heap")["heap"])

    @property
    def flash_writes(self) -> int:
        """Of its store, in this boot, as it counts them itself."""
        return int(self.do("get_diagnostics", scope="store")["store"]["writes"])

    # ---- new starts

    def reset(self) -> int:
        """Press EN and wait until it is back; the new boot."""
        before = self.boot
        self.press()
        return self.online(after=before)

    def press(self) -> None:
        """Press EN. Three boots in a row that end in their first seconds lead to safe mode: the
        third is given its time."""
        lasted_s = time.monotonic() - self._booted_s
        self._short_boots = self._short_boots + 1 if lasted_s < _HEALTHY_S else 0
        if self._short_boots == _SHORT_BOOTS_MAX:
            time.sleep(_HEALTHY_S - lasted_s)
            self._short_boots = 0
        self.hands.reset()
        self._booted_s = time.monotonic()

    def power(self, on: bool) -> None:
        """Switch its supply; what it had counted is gone with it."""
        self.hands.power(on)
        self._short_boots = 0
        self._booted_s = time.monotonic()

    def reboot(self) -> int:
        """Ask it to restart itself, and wait; the new boot."""
        before = self.boot
        until = time.monotonic() + 2 * _HEALTHY_S
        while True:  # not in its first ten seconds: see tool_device.py
            receipt = self.ask("reboot")
            if "err" not in receipt:
                boot = self.online(after=before)
                self._booted_s = time.monotonic()
                return boot
            assert receipt["err"] == "busy" and time.monotonic() < until, receipt
            time.sleep(0.5)

    @contextlib.contextmanager
    def prompt(self) -> Iterator[SerialLine]:
        """Inside, `mpremote` may take the board from its agent; after it, it is reset."""
        try:
            yield self.line
        finally:
            self.reset()

    def update(self, made: Package, *, older: bool = False, seconds: float = 120) -> dict[str, Any]:
        """The device's row of the job, once it has ended. TimeoutError."""
        job = self._updater.update(made, older)
        until = time.monotonic() + seconds
        while True:
            told = self._updater.update_job(job)
            if told["ended"]:
                return dict(told["devices"][0])
            if time.monotonic() > until:
                raise TimeoutError(f"the update did not end within {seconds:g} s: {told}")
            time.sleep(0.02)

    # ---- a clean table

    def forget(self) -> None:
        """Take away whatever tests have set: rules, schedules, routines, names, limits, facts."""
        for name, state in self.do("routine_list")["routines"].items():
            if state != "idle":
                self.ask("routine_cancel", name=name)
        for lists, field, deletes, argument in _SET:
            while found := self.do(lists)[field]:
                for entry in found:
                    args: dict[str, Any] = {argument: _value(entry, argument)}
                    self.do(deletes, **args)


# What lists it, where in the receipt, what deletes one, by which argument.
_SET: Final = (
    ("rule_list", "rules", "rule_delete", "name"),
    ("schedule_list", "schedules", "schedule_delete", "name"),
    ("routine_list", "routines", "routine_delete", "name"),
    ("limit_list", "limits", "limit_delete", "pin"),
    ("point_list", "points", "point_delete", "name"),
    ("memory_list", "facts", "memory_delete", "key"),
)


def _value(entry: str | list[str], argument: str) -> str | int:
    # Rules and schedules are listed as rows with the name first, limits by point or as "pin 4".
    name = entry if isinstance(entry, str) else entry[0]
    pin = name.removeprefix("pin ")
    return int(pin) if argument == "pin" and pin.isdigit() else name
