"""Asking a companion: the answer to one round of a turn, however many messages that takes."""

import asyncio
import time

from micropython import const

from . import lazy
from .talk import dumps

_DEADLINE_MS = const(20000)
_RETRY_MS = const(4000)
_MAX_ASKS = const(12)  # of one round: repeats, resends and waits together
OFFLINE = (
    "I am not connected (%s), so nobody can work out what you mean. What is set up already runs."
)


class Turn:
    """What is said and done in a turn so far, as messages of JSON text."""

    def __init__(self, tid, text, talk):
        self.id = tid
        self.text = text
        self.talk = talk
        self.messages = [dumps(["u", text])]
        self.sent = 0  # so many of them a companion has
        self.began = time.ticks_ms()


class Asker:
    def __init__(self, agent):
        """Of the agent it uses `link`, `presence`, `talks` and `beat`."""
        self._agent = agent
        self._link = agent.link
        self._store = agent.talks.store
        self.questions = {}  # id of a routine's ask -> its answer, None before (question.py)
        self._open = None  # id of the ask that waits for an answer
        self._answer = None
        self._answered = asyncio.Event()
        self._mem = (None, None, None)  # changes of facts, text or None for any, token

    def take(self, msg):
        """An answer came. Only the ask that is open now is answered, and once."""
        aid = msg.get("id")
        if not isinstance(aid, str):
            return
        if aid == self._open:
            self._open = None
            self._answer = msg
            self._answered.set()
        elif aid in self.questions:
            self.questions[aid] = msg

    async def round(self, turn, n):
        """The answer to round `n`; a failure has `err`."""
        ask = "%s.%d" % (turn.id, n)
        ctx = turn.talk.last if n == 1 else "%s.%d" % (turn.id, n - 1)
        whole = ctx is None
        facts = False
        for _ in range(_MAX_ASKS):
            left = _DEADLINE_MS - time.ticks_diff(time.ticks_ms(), turn.began)
            if left <= 0:
                break
            self._open = ask
            self._answer = None
            self._answered.clear()
            self._publish(turn, ask, None if whole else ctx, n == 1, facts, left)
            answer = await self._wait(min(_RETRY_MS, left))
            if answer is None:
                continue
            if "resend" in answer:
                parts = answer["resend"]
                whole = whole or "ctx" in parts
                facts = facts or "mem" in parts
                if "tools" in parts:
                    await self._agent.presence.tools()
                continue
            if "busy" in answer:
                pause = answer["busy"] if type(answer["busy"]) is int else 1000
                await asyncio.sleep_ms(max(1, min(pause, 10000, left)))
                continue
            turn.sent = len(turn.messages)
            return answer
        self._open = None
        self._link.publish("cancel", '{"id":"%s"}' % ask)
        if self._link.connected:
            return _failure("timeout", "No companion answered in time. Is one running?")
        return _failure("offline", OFFLINE % self._link.problem)

    async def _wait(self, ms):
        self._agent.beat += 1
        try:
            await asyncio.wait_for_ms(self._answered.wait(), ms)
        except asyncio.TimeoutError:
            return None
        answer = self._answer
        self._answer = None  # up to 4 KB, which the link may need before the next ask
        return answer

    def _publish(self, turn, ask, ctx, first, facts, left):
        """`ctx` None: the whole conversation; `facts`: they, too."""
        out = ['{"id":"%s","tools":"%s"' % (ask, self._agent.presence.digest)]
        talk = turn.talk
        if talk.speaker:
            out.append(',"from":' + dumps(talk.speaker))
        if left < _DEADLINE_MS - 100:
            out.append(',"ms":%d' % left)
        out.append(self.manner())
        token = self._token(turn.text)
        if token:
            out.append(',"mem":"%s"' % token)
            if facts:
                out.append(facts_part(self._store, self._choose(turn.text)[1]))
        sent = turn.sent
        if ctx is not None:
            out.append(',"ctx":"%s"' % ctx)
            if first:
                out.append(',"n":%d' % len(talk.turns))
        out.append(',"new":[')
        if ctx is None:
            sent = 0
            if talk.turns:
                self._agent.talks.flash("check", talk)
                out.append(lambda: self._agent.talks.texts(talk))
        for text in turn.messages[sent:]:
            out.append(text)
            out.append(",")
        out[-1] = "]}"
        while not self._link.publish("ask", out) and ctx is None and talk.turns:
            # The oldest turns give way where the whole conversation does not fit.
            talk.turns.pop(0)

    def manner(self):
        """The persona as a field of an ask, where one was chosen."""
        persona = self._store.get("c:persona")
        return ',"persona":"%s"' % persona if persona else ""

    def _token(self, text):
        """The name of the facts that go with a text, None where there are none."""
        changes = self._store.facts
        known, about, token = self._mem
        if known != changes or (about is not None and about != text):
            token, _, fits = self._choose(text)
            self._mem = (changes, None if fits else text, token)
        return token

    def _choose(self, text):
        try:
            return lazy.load("facts").choose(self._store, text)
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
