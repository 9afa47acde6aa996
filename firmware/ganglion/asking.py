"""One round of a turn, however many messages it takes. Loaded for it."""

import asyncio
import time

from micropython import const

from . import lazy
from .asker import OFFLINE
from .talk import dumps

_DEADLINE_MS = const(20000)
_RETRY_MS = const(4000)
_MAX_ASKS = const(12)  # of one round: repeats, resends and waits together


async def round(asker, turn, n):
    """The answer to round `n`; a failure has `err`."""
    ask = "%s.%d" % (turn.id, n)
    ctx = turn.talk.last if n == 1 else "%s.%d" % (turn.id, n - 1)
    whole = ctx is None
    facts = False
    for _ in range(_MAX_ASKS):
        left = _DEADLINE_MS - time.ticks_diff(time.ticks_ms(), turn.began)
        if left <= 0:
            break
        asker.open(ask)
        _publish(asker, turn, ask, None if whole else ctx, n == 1, facts, left)
        answer = await asker.wait(min(_RETRY_MS, left))
        if answer is None:
            continue
        if "resend" in answer:
            parts = answer["resend"]
            whole = whole or "ctx" in parts
            facts = facts or "mem" in parts
            if "tools" in parts:
                await asker.agent.presence.tools()
            continue
        if "busy" in answer:
            pause = answer["busy"] if type(answer["busy"]) is int else 1000
            await asyncio.sleep_ms(max(1, min(pause, 10000, left)))
            continue
        turn.sent = len(turn.messages)
        return answer
    asker.open(None)
    link = asker.agent.link
    link.publish("cancel", '{"id":"%s"}' % ask)
    if link.connected:
        return _failure("timeout", "No companion answered in time. Is one running?")
    return _failure("offline", OFFLINE % link.problem)


def _publish(asker, turn, ask, ctx, first, facts, left):
    """`ctx` None: the whole conversation; `facts`: they, too."""
    out = ['{"id":"%s","tools":"%s"' % (ask, asker.agent.presence.digest)]
    talk = turn.talk
    if talk.speaker:
        out.append(',"from":' + dumps(talk.speaker))
    if left < _DEADLINE_MS - 100:
        out.append(',"ms":%d' % left)
    out.append(asker.manner())
    token = _token(asker, turn.text)
    if token:
        out.append(',"mem":"%s"' % token)
        if facts:
            out.append(facts_part(asker.store, _choose(asker.store, turn.text)[1]))
    sent = turn.sent
    if ctx is not None:
        out.append(',"ctx":"%s"' % ctx)
        if first:
            out.append(',"n":%d' % len(talk.turns))
    out.append(',"new":[')
    if ctx is None:
        sent = 0
        if talk.turns:
            asker.agent.talks.flash("check", talk)
            out.append(lambda: asker.agent.talks.texts(talk))
    for text in turn.messages[sent:]:
        out.append(text)
        out.append(",")
    out[-1] = "]}"
    while not asker.agent.link.publish("ask", out) and ctx is None and talk.turns:
        # The oldest turns give way where the whole conversation does not fit.
        talk.turns.pop(0)


def _token(asker, text):
    """The name of the facts that go with a text, None where there are none."""
    changes = asker.store.facts
    known, about, token = asker.known
    if known != changes or (about is not None and about != text):
        token, _, fits = _choose(asker.store, text)
        asker.known = (changes, None if fits else text, token)
    return token


def _choose(store, text):
    try:
        return lazy.load("facts").choose(store, text)
    finally:
        lazy.drop("facts")


def facts_part(store, places):
    """Facts as a part of a payload, read as it is sent: they are 1.5 KB."""

    def fields():
        lead = ',"facts":{'
        for key, value in store.items("m:", None, places):
            # What is pinned stands in a list.
            value = value[0] if isinstance(value, list) else value
            yield lead + dumps(key) + ":" + dumps(value)
            lead = ","
        yield "}"

    return fields


def _failure(code, msg):
    return {"err": {"code": code, "msg": msg}}
