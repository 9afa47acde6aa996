"""Messages that do not run: what is wrong with them, told to whoever sent it and as an event."""

from .inbox import good_id
from .talk import dumps

_MAX_TEXT_BYTES = 1024  # as agent.py has it


def malformed(agent, leaf, view, msg):
    """`view` is None when it was too big, `msg` what could be read of it."""
    if view is None:
        return _bad(agent, leaf, "too_big", "over 4096 bytes")
    if msg is None:
        if _is_utf8(view):
            return _bad(agent, leaf, "bad_json", "not JSON, or nested too deeply")
        return _bad(agent, leaf, "bad_utf8", "not UTF-8")
    if not isinstance(msg, dict):
        return _bad(agent, leaf, "bad_message", "not an object")
    if not good_id(msg.get("id")):
        return _bad(agent, leaf, "bad_message", "id must be 1 to 16 of A-Z a-z 0-9 _ -")
    problem = _problem_of_say(msg) if leaf == "say" else _problem_of_do(msg)
    turn_away(agent, leaf, msg["id"], "bad_message", problem)


def _problem_of_say(msg):
    text = msg.get("text")
    if not isinstance(text, str) or not text.strip():
        return "text is missing"
    if len(text.encode()) > _MAX_TEXT_BYTES:
        return "text is over %d bytes" % _MAX_TEXT_BYTES
    return "from must be a string of 32 characters at most"


def _problem_of_do(msg):
    if not isinstance(msg.get("tool"), str):
        return "tool is missing"
    return "args must be an object"


def _is_utf8(view):
    try:
        str(view, "utf-8")
    except UnicodeError:
        return False
    return True


def _bad(agent, leaf, code, why):
    agent.event("bad_message", {"on": leaf, "code": code, "msg": why})


def turn_away(agent, leaf, cid, code, why):
    """A command that does not run, and is not remembered as one that did."""
    agent.event("refused", {"id": cid, "code": code, "msg": why})
    if leaf == "do":
        agent.link.publish("done", dumps({"id": cid, "receipt": {"err": code, "msg": why}}))
    else:
        agent.link.publish("reply", dumps({"id": cid, "text": why, "err": code}))
