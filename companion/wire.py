"""The messages of ``docs/protocol.md`` as models, with their limits, topics and ids.

``parse`` reads what a device sent; what it will read is written by ``wire_out``. ``python -m
companion.wire`` writes a JSON Schema of each message to ``companion/schemas/``.

Unknown fields are ignored: a newer device may say more than this companion understands. Types
are strict, ``"1"`` is no number. Nothing here decides what to do about a message.
"""

import json
import re
import secrets
import string
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

MESSAGE_BYTES_MAX: Final = 4096
TEXT_BYTES_MAX: Final = 1024
CALLS_MAX: Final = 8
ROUNDS_MAX: Final = 4
SPEAKER_MAX: Final = 32
BY_MAX: Final = 48
BUSY_MS_MAX: Final = 10_000
LIFE_S: Final = 30
"""How long a command lives by default, in seconds."""
LIFE_S_MAX: Final = 300
RESEND_S: Final = 2.0
"""Interval at which an unanswered command is sent again, in seconds."""
ASK_MS_DEFAULT: Final = 20_000
POINTS_MAX: Final = 64
GROUPS_MAX: Final = 16
NAME_BYTES_MAX: Final = 24
"""Of a point, a group, a device's name to show."""
FACTS_MAX: Final = 64
FACT_KEY_BYTES_MAX: Final = 32
FACT_VALUE_BYTES_MAX: Final = 200
PERSONA_MAX: Final = 16
TOOLS_MAX: Final = 64
TOOLS_PARTS_MAX: Final = 8

ASK_FILTER: Final = "$share/companions/gn/+/up/ask"
PLAIN_KINDS: Final = ("status", "tools", "state", "cancel", "reply", "done", "event", "update")

_DEVICE = re.compile(r"[a-z0-9-]{1,32}")
_BASE36 = string.digits + string.ascii_lowercase
_ALNUM = string.digits + string.ascii_letters
_IDS_A_SOURCE = 36 * 36 - 1
_RESERVED = frozenset({"all"})


class WireError(Exception):
    """Bytes that are not a message of the protocol, or a message that does not fit it.

    ``code`` is ``bad_utf8``, ``bad_json``, ``bad_message`` or ``too_big``; ``msg`` says where
    and what is allowed.
    """

    def __init__(self, code: str, msg: str) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg


# -- topics and ids


def is_device(name: str) -> bool:
    """Whether ``name`` can be a device id."""
    return _DEVICE.fullmatch(name) is not None and name not in _RESERVED


def down(device: str, kind: str) -> str:
    """The topic on which a device reads ``say``, ``do`` or ``answer``."""
    return f"gn/{device}/down/{kind}"


def split_up(topic: str) -> tuple[str, str] | None:
    """``gn/<device>/up/<kind>`` → (device, kind), the parts of ``tools`` included; None for any
    other topic."""
    parts = topic.split("/")
    if len(parts) == 5 and parts[3] == "tools":
        del parts[4]
    if len(parts) != 4 or parts[0] != "gn" or parts[2] != "up" or not is_device(parts[1]):
        return None
    return parts[1], parts[3]


class CommandIds:
    """Ids ``<source>-<n>`` of one requester: 6 to 8 characters, in each of a turn's messages.

    A device remembers a source and a window of its numbers, so that a busy requester takes one
    of its 64 entries (docs/protocol.md, "Ids"). The source has 23 random bits; there is a new one
    every 1,295 commands, since a longer number would be carried by every message.

    With a ``policy`` they ask under it (``policy_of``): its letter, an underscore, then three
    random characters, as ``c_Ab3-1f``.
    """

    def __init__(self, policy: str = "") -> None:
        """``policy``: "" or one of ``POLICIES``. Raises ValueError for another."""
        if policy and policy not in POLICIES.values():
            raise ValueError(f"no request can ask for the policy {policy!r}")
        self._prefix = f"{policy[0]}_" if policy else ""
        self._source = ""
        self._n = _IDS_A_SOURCE

    def next(self) -> str:
        """An id that no command of this requester had before."""
        if self._n == _IDS_A_SOURCE:
            count = 3 if self._prefix else 4
            random = "".join(secrets.choice(_ALNUM) for _ in range(count))
            self._source, self._n = self._prefix + random, 0
        self._n += 1
        tens, ones = divmod(self._n, 36)
        return f"{self._source}-{_BASE36[tens] if tens else ''}{_BASE36[ones]}"


POLICIES: Final[Mapping[str, str]] = {
    "a": "auto",
    "c": "cheapest",
    "f": "fastest",
    "p": "private",
    "b": "best",
}
"""First letter of an id that has an underscore behind it → the policy that its turn asks
under."""


def policy_of(turn_id: str) -> str | None:
    """The policy that a turn asks under, None where its id says none: ``c_Ab3-1f`` →
    ``cheapest``."""
    return POLICIES.get(turn_id[0]) if turn_id[1:2] == "_" and len(turn_id) > 2 else None


def turn_of(ask_id: str) -> str:
    """The turn that an ask belongs to: ``k9f2ab.1`` → ``k9f2ab``."""
    turn, dot, round_ = ask_id.rpartition(".")
    return turn if dot and round_.isdigit() else ask_id


# -- models

Json: TypeAlias = dict[str, Any]

Ran: TypeAlias = tuple[str, Json, Json]
"""A call that the device ran: tool, arguments, receipt."""

Message: TypeAlias = (
    tuple[Literal["u"], str] | tuple[Literal["a"], str] | tuple[Literal["d"], tuple[Ran, ...]]
)
"""One message of a conversation: ``("u", text)`` a person, ``("a", text)`` the device's reply,
``("d", ((tool, args, receipt), …))`` calls and what they read back. Told apart by the first
element."""


def _bounded(limit: int) -> Any:
    def check(text: str) -> str:
        # Four bytes a character at most, so most texts need no encoding to know.
        if len(text) * 4 > limit and len(text.encode()) > limit:
            raise ValueError(f"more than {limit} bytes")
        return text

    return AfterValidator(check)


CommandId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,16}$")]
AskId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,20}$")]
Text = Annotated[str, StringConstraints(min_length=1), _bounded(TEXT_BYTES_MAX)]
Speaker = Annotated[str, StringConstraints(max_length=SPEAKER_MAX)]
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=48)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=32)]
FactKey = Annotated[str, _bounded(FACT_KEY_BYTES_MAX)]
FactValue = Annotated[str, _bounded(FACT_VALUE_BYTES_MAX)]
Name = Annotated[str, StringConstraints(min_length=1), _bounded(NAME_BYTES_MAX)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Resend = Literal["ctx", "mem", "tools"]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", populate_by_name=True)


class Say(_Model):
    """Anyone → device: text to act on."""

    id: CommandId
    boot: int = Field(ge=0)
    exp: int = Field(ge=0, description="Unix seconds")
    text: Text
    speaker: Speaker = Field("", alias="from")


class Do(_Model):
    """Anyone → device: one tool call, no model."""

    id: CommandId
    boot: int = Field(ge=0)
    exp: int = Field(ge=0, description="Unix seconds")
    tool: ToolName
    args: Json


class Err(_Model):
    """A failure: a code of the protocol's table and words for people."""

    code: str
    msg: str


class AnswerMessage(_Model):
    """Companion → device: exactly one of the forms calls and text, failure, resend, busy, time."""

    id: AskId
    by: Annotated[str, StringConstraints(max_length=BY_MAX)] | None = None
    calls: Annotated[tuple[tuple[ToolName, Json], ...], Field(max_length=CALLS_MAX)] = ()
    say: Text | None = None
    more: Literal[0, 1, 2] = 0
    err: Err | None = None
    resend: Annotated[tuple[Resend, ...], Field(min_length=1)] | None = None
    busy: Annotated[int, Field(ge=1, le=BUSY_MS_MAX, description="ms")] | None = None
    time: Annotated[int, Field(description="Unix seconds")] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "AnswerMessage":
        forms = [self.by, self.err, self.resend, self.busy, self.time]
        if sum(form is not None for form in forms) != 1:
            raise ValueError("exactly one of by, err, resend, busy and time")
        if (self.calls or self.say or self.more) and self.by is None:
            raise ValueError("calls, say and more belong to an answer with by")
        return self


class Status(_Model):
    """Device → all, retained and the will: presence, versions, health. A will has only
    ``online`` and ``boot``."""

    online: bool
    boot: int = Field(ge=0)
    name: Name | None = Field(None, description="to show; null where it was given none")
    fw: str | None = None
    board: str | None = None
    tools: Token | None = None
    heap: int | None = Field(None, description="bytes free when sent")
    up: int | None = Field(None, description="seconds since boot")
    clock: bool | None = None
    safe: bool | None = None
    reset: str | None = None


class Spec(_Model):
    """One tool. ``args`` is a JSON Schema; a property may carry ``"x-point": true``."""

    name: ToolName
    desc: str = ""
    args: Json
    acts: bool


class Tools(_Model):
    """Device → companion, retained: the tool specs, by hash; ``part`` of ``of`` messages."""

    hash: Token
    specs: Annotated[tuple[Spec, ...], Field(max_length=TOOLS_MAX)]
    part: Annotated[int, Field(ge=1, le=TOOLS_PARTS_MAX)] = 1
    of: Annotated[int, Field(ge=1, le=TOOLS_PARTS_MAX)] = 1

    @model_validator(mode="after")
    def _is_one_of_them(self) -> "Tools":
        if self.part > self.of:
            raise ValueError("part is more than of")
        return self


class PointState(_Model):
    """A named point. ``level`` is what the pad reads, null when it cannot be read."""

    pin: int
    dir: str
    level: int | None = None


class State(_Model):
    """Device → all, retained: named points and their levels. ``v`` counts changes in a boot;
    ``more`` says how many points found no room in the message; ``groups`` are the names that a
    ``gpio_write`` or ``gpio_read`` takes for several points."""

    v: int
    more: int = 0
    points: Annotated[dict[str, PointState], Field(max_length=POINTS_MAX)]
    groups: Annotated[tuple[Name, ...], Field(max_length=GROUPS_MAX)] = ()


class Ask(_Model):
    """Device → one companion: an inference request; with ``want: "time"`` a time request, which
    has only ``id`` and ``want``; with ``want: "text"`` one for a text and no calls, which has the
    words to answer in ``new`` and neither tools nor a conversation."""

    id: AskId
    want: Literal["time", "text"] | None = None
    tools: str = Field("", max_length=32)
    new: tuple[Message, ...] = ()
    ctx: AskId | None = None
    n: Annotated[int, Field(ge=0, le=64)] | None = None
    mem: Token | None = None
    facts: Annotated[dict[FactKey, FactValue], Field(max_length=FACTS_MAX)] | None = None
    speaker: Speaker = Field("", alias="from")
    persona: str = Field(
        "", max_length=PERSONA_MAX, description="the manner of its answer; absent: neutral"
    )
    ms: int = Field(ASK_MS_DEFAULT, ge=1, le=300_000, description="deadline, from sending")

    @model_validator(mode="after")
    def _whole(self) -> "Ask":
        if self.want is None and not (self.new and self.tools):
            raise ValueError("an ask has tools and at least one new message")
        if self.want == "text" and [message[0] for message in self.new] != ["u"]:
            raise ValueError("a request for a text has one message, of a person")
        return self


class Cancel(_Model):
    """Device → all companions: stop an ask."""

    id: AskId


class Reply(_Model):
    """Device → all: what a ``say`` came to. ``by`` is absent where an answer said it."""

    id: CommandId
    text: str
    calls: tuple[Ran, ...] = ()
    by: str | None = None
    err: str | None = None


class Done(_Model):
    """Device → all: the receipt of a ``do``."""

    id: CommandId
    receipt: Json


class Event(_Model):
    """Device → all: something worth telling. ``n`` counts up within a boot; further fields
    depend on ``kind``."""

    model_config = ConfigDict(strict=True, extra="allow", populate_by_name=True)

    kind: str
    boot: int
    n: int


class Offer(_Model):
    """Companion → device, on ``down/update``: another firmware. ``mac`` is HMAC-SHA256, in hex,
    under the device's update key, of all the rest and the device's id (`offer_text`)."""

    id: CommandId
    boot: int = Field(ge=0)
    exp: int = Field(ge=0, description="Unix seconds")
    v: int = Field(ge=0, description="the version as a number that grows")
    fw: Annotated[str, StringConstraints(max_length=24)]
    size: int = Field(ge=0, description="bytes of flash, in whole blocks")
    manifest: Sha256
    older: bool = Field(False, description="it may be older than what the device has")
    mac: Sha256


class Update(_Model):
    """Device → companion: exactly one of what it wants next, that it has all and restarts, and
    that it refuses."""

    id: CommandId
    want: tuple[Annotated[str, StringConstraints(max_length=64)], int] | None = Field(
        None, description="path in the slot, offset"
    )
    ready: Literal[True] | None = None
    refused: Annotated[str, StringConstraints(max_length=16)] = ""
    msg: str = ""

    @model_validator(mode="after")
    def _one_form(self) -> "Update":
        if bool(self.want) + bool(self.ready) + bool(self.refused) != 1:
            raise ValueError("exactly one of want, ready and refused")
        return self


class Settings(_Model):
    """Companion → device, on ``down/config``, retained: other settings; what is absent stays.
    ``mac`` is HMAC-SHA256, in hex, under the device's update key (`settings_text`)."""

    v: int = Field(gt=0, description="grows from message to message; the companion takes Unix time")
    host: Annotated[str, StringConstraints(min_length=1, max_length=253)] | None = None
    port: int | None = Field(None, ge=1, le=65535, description="with host, and only with it")
    ca: str | None = Field(
        None, description="DER of the broker's authority in base64; empty: no TLS"
    )
    device: Annotated[str, StringConstraints(pattern=_DEVICE.pattern)] | None = Field(
        None, description="another id, with a secret that both sides make (`name_secret`)"
    )
    mac: Sha256


MODELS: Final[Mapping[str, type[_Model]]] = {
    "say": Say,
    "do": Do,
    "answer": AnswerMessage,
    "status": Status,
    "tools": Tools,
    "state": State,
    "ask": Ask,
    "cancel": Cancel,
    "reply": Reply,
    "done": Done,
    "event": Event,
    "offer": Offer,
    "update": Update,
    "config": Settings,
}
"""Last level of the topic → model; ``offer`` is what comes on ``down/update``."""

M = TypeVar("M", bound=_Model)


# -- bytes in


def parse(kind: type[M], payload: bytes) -> M:
    """One message from its bytes. Raises WireError."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise WireError("too_big", f"{len(payload)} bytes; at most {MESSAGE_BYTES_MAX}")
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        raise _wire_error(payload, error) from None


def check(kind: type[_Model], message: Json) -> None:
    """Raises WireError where ``message`` does not fit."""
    try:
        kind.model_validate(message)
    except ValidationError as error:
        raise _wire_error(b"", error) from None


def _wire_error(payload: bytes, error: ValidationError) -> WireError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] != "json_invalid":
        where = ".".join(str(part) for part in first["loc"]) or "the message"
        return WireError("bad_message", f"{where}: {first['msg']}")
    try:
        payload.decode()
    except UnicodeDecodeError as bad:
        return WireError("bad_utf8", f"byte {bad.start} is not UTF-8")
    return WireError("bad_json", first["msg"])


# -- schemas

SCHEMAS: Final = Path(__file__).parent / "schemas"


def schema_files() -> dict[str, str]:
    """File name → text of the JSON Schema of each message."""
    return {
        f"{name}.json": json.dumps(model.model_json_schema(by_alias=True), indent=2) + "\n"
        for name, model in MODELS.items()
    }


def main() -> int:
    """Write the schemas; returns the exit status."""
    SCHEMAS.mkdir(exist_ok=True)
    for name, text in schema_files().items():
        (SCHEMAS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
