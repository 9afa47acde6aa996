"""Asking a companion: what stays of it, whether a turn is under way or not. asking.py does it."""

import asyncio
import time

from . import lazy
from .talk import dumps

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
        self.agent = agent
        self.store = agent.talks.store
        self.questions = {}  # id of a routine's ask -> its answer, None before (question.py)
        self.known = (None, None, None)  # changes of facts, text or None for any, token
        self._open = None  # id of the ask that waits for an answer
        self._answer = None
        self._answered = asyncio.Event()

    def open(self, ask):
        """From now on an answer to `ask` is taken; to no other."""
        self._open = ask
        self._answer = None
        self._answered.clear()

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
        try:
            return await lazy.load("asking").round(self, turn, n)
        finally:
            lazy.drop("asking")

    async def wait(self, ms):
        """The answer to what is open, or None after `ms`."""
        self.agent.beat += 1
        try:
            await asyncio.wait_for_ms(self._answered.wait(), ms)
        except asyncio.TimeoutError:
            return None
        answer = self._answer
        self._answer = None  # up to 4 KB, which the link may need before the next ask
        return answer

    def manner(self):
        """The persona as a field of an ask, where one was chosen."""
        persona = self.store.get("c:persona")
        return ',"persona":"%s"' % persona if persona else ""
