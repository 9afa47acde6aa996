"""The reply at the end of a turn, from receipts: a model's words are never alone. Loaded for it."""

from . import lazy
from .tools import fill, show


def compose(say, last, failed, results):
    """`say` is the answer's template, `last` the results of its calls, `results` all of the turn:
    `(tool, args, receipt, its sentence, did it act)` each."""
    try:
        if failed or not isinstance(say, str):
            told = results if failed else last
            return " ".join([r[3] for r in told]) or "I have no answer to that."
        # What was tried and failed in an earlier round is shown, too.
        shown = "; ".join([r[3].rstrip(".") for r in results if r[4] or "err" in r[2]])
        return "%s [%s]" % (
            fill(say, lambda name: _field(name, last)),
            shown or "nothing was changed",
        )
    finally:
        lazy.drop("reply")


def fault(err):
    """`(code, why)` of an answer that is an error."""
    lazy.drop("reply")
    if isinstance(err, dict) and isinstance(err.get("msg"), str):
        return str(err.get("code", "no_answer")), err["msg"]
    return "no_answer", "The companion answered with an error it did not explain."


def _field(name, last):
    """`c1.level` of this round's receipts, in words; None leaves the text as it is."""
    call, dot, key = name.partition(".")
    if not dot or call[:1] != "c" or not call[1:].isdigit():
        return None
    at = int(call[1:]) - 1
    if not 0 <= at < len(last) or key not in last[at][2]:
        return None
    return show(key, last[at][2][key])
