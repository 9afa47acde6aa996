"""What devices will read, as bytes: commands, answers, offers of firmware and their chunks.

Plain dicts and pydantic's serialiser: what is written here is known to be valid, and checking it
again would cost more than writing it. The models and their limits are those of ``wire``.
"""

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from companion.wire import (
    BUSY_MS_MAX,
    MESSAGE_BYTES_MAX,
    Json,
    Say,
    Settings,
    WireError,
    check,
)


def encode(message: Mapping[str, Any]) -> bytes:
    """Compact JSON in UTF-8. Raises WireError ``too_big`` or ``bad_message``."""
    try:
        payload = to_json(message)
    except PydanticSerializationError as error:
        raise WireError("bad_message", f"it cannot be written as JSON: {error}") from None
    if len(payload) > MESSAGE_BYTES_MAX:
        raise WireError("too_big", f"{len(payload)} bytes; at most {MESSAGE_BYTES_MAX}")
    return payload


def encode_say(id_: str, boot: int, exp: int, text: str, speaker: str = "") -> bytes:
    """A ``say``. Raises WireError when a bound is passed."""
    message: dict[str, Any] = {"id": id_, "boot": boot, "exp": exp, "text": text}
    if speaker:
        message["from"] = speaker
    check(Say, message)
    return encode(message)


def encode_do(id_: str, boot: int, exp: int, tool: str, args: Json) -> bytes:
    """A ``do``. Raises WireError."""
    return encode({"id": id_, "boot": boot, "exp": exp, "tool": tool, "args": args})


def encode_answer(
    id_: str, by: str, calls: Sequence[tuple[str, Json]] = (), say: str | None = None, more: int = 0
) -> bytes:
    """Calls and text; defaults are left out. Raises WireError."""
    message: dict[str, Any] = {"id": id_, "by": by}
    if calls:
        message["calls"] = calls
    if say is not None:
        message["say"] = say
    if more:
        message["more"] = more
    return encode(message)


def encode_err(id_: str, code: str, msg: str) -> bytes:
    """A failure."""
    return encode({"id": id_, "err": {"code": code, "msg": msg}})


def encode_resend(id_: str, parts: Sequence[str]) -> bytes:
    """Ask again with these parts whole."""
    return encode({"id": id_, "resend": list(parts)})


def encode_busy(id_: str, ms: int) -> bytes:
    """Ask again after ``ms`` milliseconds."""
    return encode({"id": id_, "busy": max(1, min(ms, BUSY_MS_MAX))})


def encode_time(id_: str, unix_s: int) -> bytes:
    """The time."""
    return encode({"id": id_, "time": unix_s})


class Terms(NamedTuple):
    """What an offer says, but for its MAC; see `wire.Offer`."""

    id: str
    boot: int
    exp: int
    v: int
    fw: str
    size: int
    manifest: str
    older: bool = False


def offer_text(device: str, terms: Terms) -> bytes:
    """What the MAC of an offer is over: a field a line."""
    fields = ("ganglion update", device, *terms[:-1], int(terms.older))
    return "\n".join(map(str, fields)).encode()


def encode_offer(key: bytes, device: str, terms: Terms) -> bytes:
    """An ``offer``, signed."""
    message: dict[str, Any] = terms._asdict()
    if not terms.older:
        del message["older"]
    message["mac"] = hmac.digest(key, offer_text(device, terms), "sha256").hex()
    return encode(message)


def encode_chunk(id_: str, at: int, path: str, data: bytes) -> bytes:
    """A chunk: one line that says which, then the bytes as they are."""
    return f"{id_} {at} {path}\n".encode() + data


class Changes(NamedTuple):
    """What a ``config`` changes; see `Settings`."""

    host: str | None = None
    port: int | None = None
    ca: str | None = None
    device: str | None = None


def settings_text(device: str, v: int, to: Changes) -> bytes:
    """What the MAC of a ``config`` is over: a field a line."""
    ca = "-" if to.ca is None else to.ca
    fields = ("ganglion settings", device, v, to.host or "", to.port or 0, ca, to.device or "")
    return "\n".join(map(str, fields)).encode()


def encode_settings(key: bytes, device: str, v: int, to: Changes) -> bytes:
    """A ``config``, signed. Raises WireError."""
    message = {"v": v, **{name: value for name, value in to._asdict().items() if value is not None}}
    message["mac"] = hmac.digest(key, settings_text(device, v, to), "sha256").hex()
    check(Settings, message)
    return encode(message)


def name_secret(key: bytes, device: str, v: int) -> str:
    """What a device logs in with once ``config`` number ``v`` has made it ``device``. ``key`` is
    its update key until then."""
    return hmac.digest(key, f"ganglion name\n{device}\n{v}".encode(), "sha256").hex()


def fit(text: str, limit_bytes: int) -> str:
    """``text`` cut to the limit at a character, with an ellipsis where something is missing."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    return raw[: limit_bytes - 3].decode(errors="ignore") + "…"
