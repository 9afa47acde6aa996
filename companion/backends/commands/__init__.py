"""A local grammar: sentence → tool calls, without a model. It declines what it does not fully
understand."""

from companion.backends.commands.backend import CommandsBackend
from companion.backends.commands.numbers import parse_number
from companion.backends.commands.times import (
    ClockTime,
    parse_clock,
    parse_duration,
    parse_weekdays,
)

__all__ = [
    "ClockTime",
    "CommandsBackend",
    "parse_clock",
    "parse_duration",
    "parse_number",
    "parse_weekdays",
]
