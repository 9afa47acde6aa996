"""Handlers by the names that the table of intents uses."""

from collections.abc import Callable

from companion.backends.commands import memory, naming, pins
from companion.backends.commands.sentence import Clause, Sentence
from companion.backends.commands.words import wordset

Handler = Callable[[Sentence, Clause], None]


def _time(s: Sentence, c: Clause) -> None:
    s.call("get_time", {})
    s.mode, s.loose = "other", False


def _health(s: Sentence, c: Clause) -> None:
    s.call("get_health", {})
    s.mode, s.loose = "other", False


HANDLERS: dict[str, Handler] = {
    "write": pins.write,
    "write_on": pins.write_on,
    "write_off": pins.write_off,
    "open": pins.open_,
    "close": pins.close,
    "toggle": pins.toggle,
    "read": pins.read,
    "read_state": pins.read_state,
    "read_if": pins.read_state,
    "which": pins.which,
    "which_group": pins.which_group,
    "elliptic": pins.elliptic,
    "statement": pins.statement,
    "inherit": pins.inherit,
    "name": naming.name,
    "name_in": naming.name_in,
    "name_out": naming.name_out,
    "name_the": naming.name_the,
    "name_more": naming.name_more,
    "rename_pin": naming.rename_pin,
    "rename": naming.rename,
    "forget_name": naming.forget_name,
    "time": _time,
    "health": _health,
    "recall_all": memory.recall_all,
    "recall": memory.recall,
    "recall_own": memory.recall_own,
    "forget_all": memory.forget_all,
    "forget_fact": memory.forget_fact,
    "forget": memory.forget,
}

# Of these a clause is told from a part of a fact by its form alone.
ACTING = wordset(
    "write write_on write_off open close toggle name name_in name_out forget_name forget "
    "forget_fact forget_all rename rename_pin"
)
