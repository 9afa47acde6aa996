"""How long an upstream asks to be left alone."""

import email.utils
import math
import time


def seconds_of(header: str | None) -> float | None:
    """Seconds from now, of a ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3); None where
    it is missing or neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
