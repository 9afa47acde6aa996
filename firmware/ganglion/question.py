"""A text that a routine asks a model for. Loaded while it waits.

No call comes of it: what a routine does was checked when it was stored, and a model only gives it
words. Where there are none, the routine has a branch for that.
"""

import random
import time

from micropython import const

from .talk import dumps

_RETRY_MS = const(4000)
_LOOK_MS = const(50)  # how late an answer may be noticed
_BUSY_MS = const(10000)
_MAX_BYTES = const(200)  # as of a notification


def ask(agent, name, text, ms):
    """A generator of ms to wait, as a job is one, that returns the text, or None: no connection,
    no answer in time, or one that has no text. Closing it takes the question back."""
    link = agent.link
    if not link.connected:
        return None
    asker = agent.asker
    # As turns' ids, it comes but once: a companion that was asked before gives its old answer.
    aid = "r%d-%x.1" % (agent.boot, random.getrandbits(30))
    began = time.ticks_ms()
    next_ms = 0  # when to send it, from `began`
    asker.questions[aid] = None
    answer = None
    try:
        while True:
            past = time.ticks_diff(time.ticks_ms(), began)
            answer = asker.questions[aid]
            if answer is not None:
                if "busy" not in answer:
                    return _text_of(answer)
                asker.questions[aid] = None
                pause = answer["busy"] if type(answer["busy"]) is int else 1000
                next_ms = past + max(1, min(pause, _BUSY_MS))
                answer = None
            if past >= ms:
                return None
            if past >= next_ms:
                next_ms = past + _RETRY_MS
                link.publish("ask", _message(asker, aid, name, text, ms - past))
            yield min(_LOOK_MS, ms - past)
    finally:
        del asker.questions[aid]
        if answer is None:
            link.publish("cancel", '{"id":"%s"}' % aid)


def _message(asker, aid, name, text, ms):
    head = '{"id":"%s","want":"text","ms":%d,"from":' % (aid, ms)
    return [head, dumps(name), asker.manner(), ',"new":[["u",', dumps(text), "]]}"]


def _text_of(answer):
    """A line of 200 bytes at most, or None."""
    say = answer.get("say")
    if "err" in answer or not isinstance(say, str):
        return None
    say = " ".join(say.split())
    if len(say.encode()) > _MAX_BYTES:
        say = say[:_MAX_BYTES]
        while len(say.encode()) > _MAX_BYTES - 3:
            say = say[:-1]
        say += "\u2026"
    return say or None
