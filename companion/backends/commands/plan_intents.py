"""The second table: sentences about schedules and rules, the time zone and the place, and the
conditions of rules.

Apart from the first because its words ("rule", "cancel", "opens") mean something only to devices
with these tools; to others they stay unknown words. A row of ``ROWS`` is a whole sentence; a row
of ``CONDITIONS`` is the part of one that begins with "when".
"""

import re
from typing import Final

from companion.backends.commands import vocabulary as voc
from companion.backends.commands.templates import Compiler
from companion.backends.commands.words import wordset

SLOTS: dict[str, str] = {
    "free": "~[^SH?]{1,16}?",
    "rest": "~.{1,64}",
    "source": "~<the>?[GTUQ]",
    "show": "(list | show | show me | tell me | give me | read | read me | what are | check)",
    "drop": "(forget | delete | remove | cancel | drop | clear)",
    "stop_it": "(pause | suspend)",
    "go_on": "(resume | unpause | continue)",
    "zone": "(time zone | timezone)",
    "spot": "(location | place | position | coordinates)",
    "all": "~E",
    "level": "(on | off | high | low)",
    "state": "(on | off | high | low | open | opened | closed | shut | running)",
    "lead": "(when | whenever | if)",
}

ROWS: tuple[tuple[str, str], ...] = tuple(
    (handler, template.strip())
    for handler, block in (
        (
            "schedules",
            """
            what is (scheduled | planned)
            (what | which) [things] (are | is) (scheduled | planned)
            is ({all} | something) (scheduled | planned)
            {show} [{all} | all [of]] [{the}] (schedules | schedule)
            {show} (what is | {all} that is | {all}) scheduled
            (what | which) schedules (are there | do you have | have you got | do we have |
                do i have | are set)
            [are there] any schedules
            are there schedules
            (do you | do i | do we) have [any] schedules
            what is [on] {the} schedule
            """,
        ),
        (
            "rules",
            """
            {show} [{all} | all [of]] [{the}] (rules | rule)
            (what | which) rules (are there | do you have | have you got | do we have |
                do i have | are set)
            [are there] any rules
            are there rules
            (do you | do i | do we) have [any] rules
            """,
        ),
        (
            "drop_schedule",
            "{drop} [{the}] schedule [called | named] {free}\n {drop} {the} {free} schedule",
        ),
        ("drop_rule", "{drop} [{the}] rule [called | named] {free}\n {drop} {the} {free} rule"),
        (
            "pause_schedule",
            "{stop_it} [{the}] schedule [called | named] {free}\n {stop_it} {the} {free} schedule",
        ),
        (
            "pause_rule",
            "{stop_it} [{the}] rule [called | named] {free}\n {stop_it} {the} {free} rule",
        ),
        (
            "resume_schedule",
            "{go_on} [with] [{the}] schedule [called | named] {free}\n "
            "{go_on} {the} {free} schedule",
        ),
        (
            "resume_rule",
            "{go_on} [with] [{the}] rule [called | named] {free}\n {go_on} {the} {free} rule",
        ),
        (
            "zone",
            """
            [{the}] {zone} is {rest}
            (set | change) [{the}] {zone} [to | =] {rest}
            (i am | we are | i live | we live) in {the} {rest} {zone}
            """,
        ),
        (
            "place",
            """
            (i live | we live | i am | we are | you are | i am located) at {rest}
            {the} {spot} (is | are) {rest}
            set [{the}] {spot} [to | =] {rest}
            """,
        ),
    )
    for template in re.sub(r"\n {16,}", " ", block).strip().splitlines()
)

CONDITIONS: tuple[tuple[str, str], ...] = (
    (
        "event",
        "{lead} {source} (goes | turns | comes | switches | is turned | is switched | gets "
        "turned | gets switched | changes to | switches to | goes to) {level}",
    ),
    ("moves", "{lead} {source} (opens | closes | starts | stops) [running]"),
    ("moves", "{lead} {source} (is | gets) (opened | closed | shut)"),
    ("changes", "{lead} {source} changes [{the}] [level | state]"),
    ("been", "{lead} {source} (has been | 's been) {state}"),
    ("hold", "{lead} {source} (stays | remains) {state}"),
    ("state", "{lead} {source} ({be} | 's) {state}"),
)

compiler: Final = Compiler(voc.WORDS, SLOTS)

TABLE: Final = compiler.table((template for _, template in ROWS), r"(?:[SH?]|<edge>)*\Z")
HANDLER_OF: Final = {f"r{i}": handler for i, (handler, _) in enumerate(ROWS)}
CONDITION: Final = compiler.table((template for _, template in CONDITIONS), "")
FORM_OF: Final = {f"r{i}": form for i, (form, _) in enumerate(CONDITIONS)}
GAP: Final = re.compile(f"[SH?{compiler.chars('edge')}]*")

ABOUT: Final = wordset(
    "schedule schedules scheduled planned rule rules zone timezone live location place position "
    "coordinates"
)
"""Without one of these words no row can match but "i am at …"."""

LEVELS: Final = {
    "on": "on", "high": "on", "off": "off", "low": "off", "running": "on",
    "open": "on", "opened": "on", "opens": "on", "starts": "on",
    "closed": "off", "closes": "off", "shut": "off", "stops": "off",
}  # fmt: skip
MOVES: Final = frozenset(("open", "opened", "opens", "starts", "closed", "closes", "shut", "stops"))
"""Of these only a named point that is no contact has one meaning."""
