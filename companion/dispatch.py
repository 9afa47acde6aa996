"""Say and do on behalf of people: an id, the boot counter, an expiry; the same again every two
seconds until the device has answered; and what came of it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from companion import wire, wire_out
from companion.backends.base import Card
from companion.config.model import Policy
from companion.fleet import Fleet, Presence
from companion.link import Link, LinkFull
from companion.meter import usd
from companion.router.others import others
from companion.store import Row

log = logging.getLogger(__name__)

CLOCK_S: Final = 3.0
"""How long a command waits for a device that has just come up and does not know the time: it
would refuse (``no_clock``), and gets the time within a moment of its connection."""
TURN_MAX_S: Final = 100.0
"""A turn that shows signs of life may take four rounds of 20 s, and some."""
_RESTARTED: Final = "the board restarted during this turn; nothing was repeated; say it again"


class DispatchError(Exception):
    """Nothing was sent, or nothing came back. ``status`` is the fitting HTTP status."""

    def __init__(self, status: int, code: str, msg: str) -> None:
        super().__init__(msg)
        self.status = status
        self.code = code
        self.msg = msg


@dataclass(slots=True)
class Turn:
    """What a say came to, as far as this companion saw it."""

    say: str
    reply: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    backend: str | None = None
    """None: another companion answered and this one cannot know who."""
    tier: str | None = None
    why: str = ""
    """Why this backend, and what was tried before it."""
    others: list[dict[str, Any]] = field(default_factory=list)
    """What the other models would have cost for the same tokens."""
    ms: float = 0.0
    usd: float = 0.0
    tokens_in: int = 0
    """Cached ones included; of all rounds, as the others."""
    tokens_out: int = 0
    """Reasoning ones included."""
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    estimated: bool = False
    """Tokens or cost are estimates: a provider told none, or none that can be true."""
    energy_j: float | None = None
    """None: not known."""
    energy_how: str = ""
    """``measured``, ``estimated``; "": not known."""
    bytes_up: int = 0
    bytes_down: int = 0
    answered: bool = False
    err: str | None = None

    def public(self) -> dict[str, Any]:
        """As ``POST /devices/{d}/say`` returns it."""
        result: dict[str, Any] = {
            "say": self.say,
            "reply": self.reply,
            "calls": self.calls,
            "backend": self.backend,
            "tier": self.tier,
            "why": self.why,
            "others": self.others,
            "ms": self.ms,
            "usd": self.usd,
            "tokens": self.tokens_in + self.tokens_out,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_cached": self.tokens_cached,
            "tokens_reasoning": self.tokens_reasoning,
            "estimated": self.estimated,
            "energy_j": self.energy_j,
            "energy_how": self.energy_how,
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "answered": self.answered,
        }
        if self.err is not None:
            result["err"] = self.err
        return result


@dataclass(slots=True)
class _Waiter:
    """One command that somebody waits for; also the ``asked.Watch`` of its turn."""

    result: asyncio.Future[wire.Reply | wire.Done]
    boot: int
    alive: bool = False
    bytes_up: int = 0
    bytes_down: int = 0
    rows: list[Row] = field(default_factory=list)

    def asked(self, device: str, turn: str, size: int) -> None:
        self.alive = True
        self.bytes_up += size

    def answered(self, device: str, turn: str, size: int) -> None:
        self.bytes_down += size

    def recorded(self, row: Row) -> None:
        self.rows.append(row)


class _Restarted(Exception):
    pass


class Dispatch:
    """Sends commands and waits for what they come to."""

    def __init__(
        self,
        link: Link,
        fleet: Fleet,
        watches: "dict[tuple[str, str], Any]",
        *,
        cards: Callable[[], Sequence[Card]] = tuple,
        clock: Callable[[], float] = time.time,
        life_s: int = wire.LIFE_S,
        resend_s: float = wire.RESEND_S,
        turn_max_s: float = TURN_MAX_S,
    ) -> None:
        """``watches`` is ``Turns.watches``; ``cards`` gives those of the backends as they are
        configured now."""
        self._link = link
        self._fleet = fleet
        self._watches = watches
        self._cards = cards
        self._clock = clock
        self._life_s = life_s
        self._resend_s = resend_s
        self._turn_max_s = turn_max_s
        self._ids: dict[str, wire.CommandIds] = {}
        self._waiters: dict[tuple[str, str], _Waiter] = {}
        self._stop_listening = fleet.listen(self._on_presence)

    async def say(
        self, device: str, text: str, speaker: str = "", policy: Policy | None = None
    ) -> Turn:
        """Say ``text`` to a device and wait for its reply. ``policy`` travels in the id, so that
        it holds at whichever companion the device asks; it may narrow what is configured, never
        widen it.

        Raises DispatchError when nothing could be sent. Once it is sent there is a Turn, with
        ``err`` set where it did not end in an answer.
        """
        device = self.id_of(device)
        boot = await self._reach(device)
        id_, exp = self._next_id(policy or ""), int(self._clock()) + self._life_s
        payload = _encoded(lambda: wire_out.encode_say(id_, boot, exp, text, speaker))
        turn = Turn(text)
        began = time.perf_counter()
        waiter = self._waiter(device, id_, boot)
        self._watches[(device, id_)] = waiter
        try:
            reply = await self._exchange(device, wire.down(device, "say"), payload, waiter)
        except _Restarted:
            turn.err, turn.reply = "restarted", _RESTARTED
        except TimeoutError:
            turn.err, turn.reply = "timeout", self._silence(device)
        else:
            assert isinstance(reply, wire.Reply)
            _fill(turn, reply, waiter.rows, self._cards())
        finally:
            self._forget(device, id_)
        turn.ms = round((time.perf_counter() - began) * 1000, 2)
        turn.bytes_up, turn.bytes_down = waiter.bytes_up, waiter.bytes_down
        return turn

    async def do(self, device: str, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        """One tool call, no model. Returns ``{"id", "receipt"}``; a refused call's receipt has
        ``err``. Raises DispatchError."""
        device = self.id_of(device)
        boot = await self._reach(device)
        id_, exp = self._next_id(), int(self._clock()) + self._life_s
        payload = _encoded(lambda: wire_out.encode_do(id_, boot, exp, tool, args))
        waiter = self._waiter(device, id_, boot)
        try:
            done = await self._exchange(device, wire.down(device, "do"), payload, waiter)
        except _Restarted:
            msg = "the board restarted during this call; nothing was repeated; ask what is set"
            raise DispatchError(409, "restarted", msg) from None
        except TimeoutError:
            raise DispatchError(504, "timeout", self._silence(device)) from None
        finally:
            self._forget(device, id_)
        assert isinstance(done, wire.Done)
        return {"id": id_, "receipt": done.receipt}

    @property
    def waiting(self) -> bool:
        """Whether anybody waits for a reply or a done."""
        return bool(self._waiters)

    def on_result(self, device: str, message: wire.Reply | wire.Done, size: int) -> None:
        """A reply or a done, of ``size`` bytes with its topic. Others' results are ignored."""
        waiter = self._waiters.get((device, message.id))
        if waiter is not None:
            waiter.bytes_up += size
            if not waiter.result.done():
                waiter.result.set_result(message)

    def close(self) -> None:
        """Give up everything; who waits is told that the companion stops."""
        self._stop_listening()
        for waiter in self._waiters.values():
            if not waiter.result.done():
                waiter.result.set_exception(
                    DispatchError(503, "stopping", "the companion stops; what was sent may run")
                )

    # -- the exchange

    def _next_id(self, policy: str = "") -> str:
        ids = self._ids.get(policy)
        if ids is None:
            ids = self._ids[policy] = wire.CommandIds(policy)
        return ids.next()

    def id_of(self, device: str) -> str:
        """The id of a device by its id, or by its name where only one has it. Raises
        DispatchError where several have it."""
        found = self._fleet.called(device)
        if len(found) > 1:
            ids = wire_out.fit(", ".join(d.id for d in found), 300)
            msg = f"several devices are called '{device}': say which by id, of {ids}"
            raise DispatchError(409, "ambiguous_device", msg)
        return found[0].id if found else device

    def _boot_of(self, device: str) -> int:
        """The boot counter to address; raises DispatchError when the device cannot be reached."""
        if not wire.is_device(device):
            msg = "a device id has 1 to 32 of a-z, 0-9 and -"
            raise DispatchError(404, "unknown_device", msg)
        if not self._link.connected.is_set():
            problem = self._link.problem or "not connected to the broker"
            raise DispatchError(503, "no_broker", f"{problem}; is it running?")
        entry = self._fleet.get(device)
        if entry is None or entry.boot is None:
            ids = ", ".join(d.id for d in self._fleet)
            known = f"known are: {ids}" if ids else "none has been heard of yet"
            msg = f"no device '{device}' has been heard of; {wire_out.fit(known, 300)}"
            raise DispatchError(404, "unknown_device", msg)
        if not entry.online:
            msg = f"'{device}' is offline; check its power and its network, then say it again"
            raise DispatchError(503, "offline", msg)
        return entry.boot

    async def _reach(self, device: str) -> int:
        """As ``_boot_of``, once the device knows the time or ``CLOCK_S`` have passed."""
        boot = self._boot_of(device)
        entry = self._fleet.get(device)
        if entry is None or entry.clock is not False:
            return boot
        changed = asyncio.Event()

        def listener(of: str, presence: Presence) -> None:
            if of == device and presence != "online":
                changed.set()

        stop = self._fleet.listen(listener)
        try:
            await asyncio.wait_for(changed.wait(), CLOCK_S)
        except TimeoutError:
            pass  # The device says itself what it lacks.
        finally:
            stop()
        return self._boot_of(device)

    def _waiter(self, device: str, id_: str, boot: int) -> _Waiter:
        waiter = _Waiter(asyncio.get_running_loop().create_future(), boot)
        self._waiters[(device, id_)] = waiter
        return waiter

    def _forget(self, device: str, id_: str) -> None:
        self._waiters.pop((device, id_), None)
        self._watches.pop((device, id_), None)

    async def _exchange(
        self, device: str, topic: str, payload: bytes, waiter: _Waiter
    ) -> wire.Reply | wire.Done:
        """Publish until there is a result. Raises TimeoutError, _Restarted, DispatchError."""
        began = time.monotonic()
        while True:
            passed_s = time.monotonic() - began
            if passed_s < self._life_s:
                # While the broker is away repeats would only pile up for its return.
                if self._link.connected.is_set():
                    self._publish(topic, payload, waiter)
                wait_s = min(self._resend_s, max(self._life_s - passed_s, 0.01))
            else:
                # Expired: a device that has not begun will refuse it; one that has may go on.
                limit_s = self._turn_max_s if waiter.alive else self._life_s + self._resend_s
                if passed_s >= limit_s:
                    raise TimeoutError
                wait_s = min(self._resend_s, limit_s - passed_s)
            done, _ = await asyncio.wait({waiter.result}, timeout=wait_s)
            if done:
                return waiter.result.result()

    def _publish(self, topic: str, payload: bytes, waiter: _Waiter) -> None:
        try:
            self._link.publish(topic, payload)
        except LinkFull as error:
            raise DispatchError(503, "no_broker", str(error)) from None
        waiter.bytes_down += len(topic) + len(payload)

    def _silence(self, device: str) -> str:
        entry = self._fleet.get(device)
        if entry is None or not entry.online:
            return f"'{device}' went offline and did not answer; check its power and its network"
        return f"'{device}' is online and did not answer in time; say it again"

    def _on_presence(self, device: str, presence: Presence) -> None:
        if presence != "boot":
            return
        entry = self._fleet.get(device)
        for (of, _), waiter in self._waiters.items():
            other_boot = of == device and entry is not None and waiter.boot != entry.boot
            if other_boot and not waiter.result.done():
                waiter.result.set_exception(_Restarted())


def _encoded(encode: Callable[[], bytes]) -> bytes:
    try:
        return encode()
    except wire.WireError as error:
        status = 413 if error.code == "too_big" else 422
        raise DispatchError(status, error.code, error.msg) from None


def _fill(turn: Turn, reply: wire.Reply, rows: list[Row], cards: Sequence[Card]) -> None:
    turn.reply = reply.text
    turn.calls = [{"tool": t, "args": a, "receipt": r} for t, a, r in reply.calls]
    turn.err = reply.err
    turn.answered = reply.err is None
    if reply.err == "stale_boot":
        # It restarted between the status that we saw and this say.
        turn.err, turn.reply = "restarted", _RESTARTED
    if reply.by is not None:
        turn.backend, turn.tier = reply.by, "edge"
    for row in rows:
        # The last round's answer is the one that was read; the cost is of all rounds.
        if row.backend:
            turn.backend, turn.tier, turn.why = row.backend, row.tier, row.reason
        turn.tokens_in += row.tokens_in
        turn.tokens_out += row.tokens_out
        turn.tokens_cached += row.tokens_cached
        turn.tokens_reasoning += row.tokens_reasoning
        turn.estimated |= bool(row.estimated)
        if row.energy_how:
            turn.energy_j = round((turn.energy_j or 0.0) + row.energy_mj / 1000, 3)
            # One guess among measurements makes the sum a guess.
            guess = "estimated" in (row.energy_how, turn.energy_how)
            turn.energy_how = "estimated" if guess else "measured"
    turn.usd = usd(sum(row.nano_usd for row in rows))
    if any(row.backend for row in rows):
        # Of a turn that nobody answered the others are those that could not, either.
        turn.others = [
            {"backend": other.name, "tier": other.tier, "usd": usd(other.nano_usd)}
            for other in others(
                sum(row.would_in for row in rows),
                sum(row.would_out for row in rows),
                sum(row.tokens_cached for row in rows),
                turn.backend or "",
                cards,
            )
        ]
