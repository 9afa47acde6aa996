"""What the router and a backend say to each other: plain data and one protocol.

A backend is given everything it may know in a ``Request`` and returns an ``Answer``; it
never sees MQTT, the store or another backend. Whatever it returns is checked against the
device's tool specs before it leaves the companion, and again on the device.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from companion.meter import Prices, Tier
from companion.toolset import ToolSpec
from companion.wire import Json, Message, Ran

__all__ = [
    "NO_USAGE",
    "Answer",
    "Backend",
    "BackendError",
    "Call",
    "Card",
    "Declined",
    "FastBackend",
    "Json",
    "Message",
    "Point",
    "Prices",
    "Ran",
    "Request",
    "Tier",
    "ToolSpec",
    "Usage",
    "newest_text",
]


@dataclass(frozen=True, slots=True)
class Point:
    """A GPIO that a person has named. ``level`` is what the pad read when the device last
    published its state, None when it could not be read: news, not truth."""

    name: str
    pin: int
    dir: str
    level: int | None


@dataclass(frozen=True, slots=True)
class Request:
    """One round of a turn, as a backend sees it."""

    device: str
    turn_id: str
    text: str
    """The newest user text; "" in a round that only brings receipts."""
    messages: tuple[Message, ...]
    """The conversation: the prefix as far as it is known, then what is new. A backend with
    ``needs_context = False`` may be given only what is new."""
    tools: tuple[ToolSpec, ...]
    points: tuple[Point, ...]
    facts: Mapping[str, str]
    deadline: float
    """``time.monotonic()`` seconds after which nobody waits for the answer any more."""
    now: float
    """Unix seconds when the ask came in."""
    groups: tuple[str, ...] = ()
    """Names that a ``gpio_write`` or ``gpio_read`` takes for several points."""
    persona: str = ""
    """The manner that was chosen for this device, "" for none; perhaps one that is not known
    here."""
    wants_text: bool = False
    """Only a text is wanted, for a routine: there are no tools, and calls would be an error."""
    local_time: str = ""
    """The device's time of day when the ask came in, as ``2026-11-21T13:05+01:00``; "" where its
    zone is not known."""


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call. ``args`` must satisfy the tool's JSON Schema."""

    tool: str
    args: Json


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. ``cached`` and ``cache_written`` are parts of ``input``,
    ``reasoning`` of ``output``. ``estimated`` says that the provider reported none and these are
    guesses from lengths; ``suspect`` that it reported more than can be true, and these are the
    most that can."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False
    cache_written: int = 0
    suspect: bool = False


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a backend wants done and said.

    ``say`` None lets each receipt speak for itself; text may hold ``{c1.level}``, the field
    ``level`` of the first call's receipt. ``more``: 0 the turn ends here, 1 ask again if a call
    failed, 2 ask again with the receipts in any case.
    """

    calls: tuple[Call, ...] = ()
    say: str | None = None
    more: int = 0
    usage: Usage = field(default=NO_USAGE)
    model: str = ""
    first_ms: int | None = None
    """Milliseconds from asking to the first token, None where it came in one piece."""


class Declined(Exception):
    """This backend does not answer such a request. Never an error: the router moves on.

    ``reason`` is a clause that fits after "commands: " in the sentence that a person reads when
    nobody could answer, as "I know no such request".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BackendError(Exception):
    """This backend should have answered and could not.

    ``code`` is one of the constants below; ``msg`` is a clause for people that holds neither a
    key nor what the upstream sent beyond a few words; ``retry_after_s`` is how long the
    upstream asked to be left alone, None where it did not say.
    """

    def __init__(self, code: str, msg: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a backend before it is asked. All that the router decides by, besides what
    it has measured."""

    name: str
    """Unique among the configured backends."""
    tier: Tier = "commodity"
    model: str = ""
    needs_context: bool = True
    """Whether it must see the conversation and the facts to answer well. False for what is no
    model."""
    local: bool = False
    """Nothing it is told leaves the house."""
    prices: Prices | None = None
    """None: it costs nothing."""
    context_tokens: int = 0
    """The longest prompt and answer together; 0: not known, taken as enough."""
    output_tokens: int = 1024
    """The most tokens an answer of it may have; what a request asks for."""
    tools: bool = True
    """Whether it can call tools."""
    quality: int = 50
    """0 to 100, the owner's or the profile's opinion of how well it answers; only compared."""
    typical_ms: int = 2000
    """The 95th percentile of its answer time until it has been measured."""
    joules_per_token: float | None = None
    """As its publisher estimates; None: nothing is published."""
    here: bool = False
    """It computes on this machine: in this process, or at a url on loopback."""
    watts: float | None = None
    """What its machine draws while it answers, as its owner says; None: not said."""
    keeps_prompts: bool | None = None
    """Whether the provider keeps what it is sent; None: not known."""
    region: str = ""


class Backend(Protocol):
    """Somebody who can answer.

    A backend that needs no I/O and answers within a millisecond also has ``answer_now``
    (``FastBackend``); the router then calls it in place, with no task and no timer.
    """

    @property
    def card(self) -> Card: ...

    async def answer(self, request: Request) -> Answer:
        """Raises Declined or BackendError. Cancelled when its time is up or nobody waits."""
        ...

    async def aclose(self) -> None:
        """Give connections back. Nothing is asked of it afterwards."""
        ...


@runtime_checkable
class FastBackend(Protocol):
    """The further method of a backend that is synchronous and fast."""

    def answer_now(self, request: Request) -> Answer:
        """As ``Backend.answer``, at once. Raises Declined or BackendError."""
        ...


def newest_text(messages: Sequence[Message]) -> str:
    """The text of the last user message, "" when a later one brings receipts."""
    for message in reversed(messages):
        if message[0] == "u":
            return message[1]
        if message[0] == "d":
            return ""
    return ""
