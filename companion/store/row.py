"""One answer, as it is recorded."""

from typing import Final, NamedTuple

BESIDE: Final = "beside"
"""The outcome of a row that is money of an attempt, and no ask: it failed, or came second."""


class Row(NamedTuple):
    """One ask and what it came to, in the order of the table's columns. A tuple, so that it is
    written as is."""

    time: float
    """Unix seconds when it was answered."""
    device: str
    ask: str
    turn: str
    speaker: str = ""
    backend: str = ""
    """Whose answer it was, "" when nobody answered."""
    tier: str = ""
    model: str = ""
    policy: str = ""
    reason: str = ""
    """Why this backend: the verdict of the plan, and what was tried before."""
    tokens_in: int = 0
    """Cached ones included. Of the backend that answered."""
    tokens_out: int = 0
    """Reasoning ones included."""
    tokens_cached: int = 0
    tokens_cache_written: int = 0
    tokens_reasoning: int = 0
    estimated: int = 0
    """1: the provider reported no tokens, or ones that cannot be true."""
    nano_usd: int = 0
    """Of the answer. What other attempts cost has rows of its own, with the outcome ``beside``
    and the ask's id, a slash and the backend's name for an ask."""
    price_version: str = ""
    queue_ms: int = 0
    """From the ask's arrival to the first attempt at a model."""
    first_ms: int = -1
    """From asking it to the first token, -1 where the answer came in one piece."""
    ms: int = 0
    """From the ask's arrival to its answer."""
    energy_mj: int = 0
    """Millijoules."""
    energy_how: str = ""
    """``measured``, ``estimated``, "" where nothing is known."""
    would_in: int = 0
    """Tokens that a model would have been sent for it, estimated; for what-if."""
    would_out: int = 0
    outcome: str = "answered"
    """``answered``, ``no_answer``, ``canceled``, ``lost``, ``beside``."""
    err: str = ""
