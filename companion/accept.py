"""The check that every answer passes before it leaves for a device."""

from companion import wire, wire_out
from companion.backends.base import Answer, Backend
from companion.router import Accept, Invalid
from companion.toolset import Toolset


def acceptor(ask_id: str, toolset: Toolset) -> Accept:
    """The check that every answer passes before it leaves: its calls against the device's tool
    specs, its text and size against the wire."""

    def accept(backend: Backend, answer: Answer) -> bytes:
        calls, say = answer.calls, answer.say
        if len(calls) > wire.CALLS_MAX:
            raise Invalid(f"{len(calls)} calls; at most {wire.CALLS_MAX}")
        if not calls and not say:
            raise Invalid("it says and does nothing")
        if say is not None and len(say.encode(errors="replace")) > wire.TEXT_BYTES_MAX:
            raise Invalid(f"its text is over {wire.TEXT_BYTES_MAX} bytes")
        pairs = []
        for call in calls:
            reason = toolset.wrong(call.tool, call.args)
            if reason is not None:
                raise Invalid(reason)
            pairs.append((call.tool, call.args))
        by = f"{backend.card.tier}/{backend.card.name}"
        try:
            return wire_out.encode_answer(ask_id, by, pairs, say or None, answer.more)
        except wire.WireError as error:
            raise Invalid(error.msg) from None

    return accept


def text_acceptor(ask_id: str) -> Accept:
    """The check of an answer that is to be a text: a routine's actions are those that were
    checked when it was stored, so a call has no place in it."""

    def accept(backend: Backend, answer: Answer) -> bytes:
        if answer.calls:
            raise Invalid("it called tools where a text was asked for")
        if not answer.say or not answer.say.strip():
            raise Invalid("it says nothing")
        try:
            say = wire_out.fit(answer.say, wire.TEXT_BYTES_MAX)
            return wire_out.encode_answer(
                ask_id, f"{backend.card.tier}/{backend.card.name}", say=say
            )
        except wire.WireError as error:
            raise Invalid(error.msg) from None

    return accept
