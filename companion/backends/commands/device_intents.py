"""The third table: whole sentences about the device itself, about groups, and for tools that
need more than a level.

Apart from the first because its words ("group", "version", "reboot") stay unknown words to devices
without these tools, and may be names on others.
"""

import re
from typing import Final

from companion.backends.commands import vocabulary as voc
from companion.backends.commands.templates import Compiler
from companion.backends.commands.words import wordset

SLOTS: dict[str, str] = {
    # At most 24 bytes: eight items are plenty.
    "free": "~[^SH?]{1,8}?",
    "one": "~<the>?[GTUQE]",
    "number": "~N",
    "targets": "~<the>?[GTUQE](?:S<the>?[GTUQE]){0,7}",
    "self": "({the} (device | board | chip | esp | microcontroller | system) | yourself)",
    "thing": "(firmware | software | micropython | ganglion | toolset)",
    "all": "~E",
    "group": "([{the}] group [called | named] {free} | {the} {free} group)",
    "show": "(list | show | show me | tell me | give me | check)",
}

ROWS: tuple[tuple[str, str], ...] = tuple(
    (handler, template.strip())
    for handler, block in (
        (
            "reboot",
            """
            reboot [{self}]
            restart {self}
            (do | perform) {the} (reboot | restart)
            """,
        ),
        ("restart_what", "restart"),
        (
            "reset_what",
            """
            reset [{self}] [to factory settings | to factory defaults]
            factory reset [{self}]
            """,
        ),
        (
            "version",
            """
            [{the}] [current] [{thing}] version [number]
            [what is | {show}] [{the}] [current] [{thing}] version [number] [of {thing} | of {self}]
            (what | which) [{thing}] version (are you [running | on] | do you (run | have | use) |
                is running | is this | is that | is installed | is on {self})
            (what | which) version of {thing} (are you [running | on] | do you (run | have | use) |
                is running | is this | is installed | is on {self})
            (what | which) {thing} (are you running | do you run | is running | is this |
                is installed)
            what are you running on
            (what | which) (board | chip | device) (is this | are you | do you run on |
                are you running on)
            """,
        ),
        ("version", "what is your name\n what are you called\n who are you"),
        (
            "name",
            """
            (call | name | rename) (yourself | {self}) [as | to] {free}
            (change | set) your name to {free}
            your name is [now] {free}
            you are [now] called {free}
            (change | set) {the} name of {self} to {free}
            (give | call) {self} {the} name {free}
            """,
        ),
        ("name_what", "rename {self}\n change your name"),
        ("unname", "(forget | delete | remove | clear) your name"),
        (
            "join",
            """
            (put | add | move | include | place) {targets} (in | into | to) {group}
            {targets} (belongs | belong) (to | in) {group}
            {targets} (is | are) [{the}] (part | member | members) of {group}
            {targets} (is | are) in {group}
            group {targets} (as | under | into) {free}
            """,
        ),
        ("join_known", "(put | add) {targets} (in | into | to) [{the}] {free}"),
        (
            "leave",
            """
            (take | remove | drop | get) {targets} (out of | from) (its | their | any | the | {all})
                (group | groups)
            """,
        ),
        (
            "leave_what",
            "(take | remove | drop | delete | get) {targets} (out of | from) {group}",
        ),
        (
            "members",
            """
            (what | who | which points | which) (is | are) in {group}
            {show} [what is in | who is in | the members of | the points in] {group}
            """,
        ),
        (
            "groups",
            """
            {show} [{all} | all] [{the}] groups
            (what | which) groups (are there | do you have | have you got | do we have |
                do i have | do you know | exist)
            [are there] any groups
            are there groups
            (do you | do i | do we) have [any] groups
            groups
            """,
        ),
        ("drop_group", "(forget | delete | remove | drop | clear) {group}"),
        (
            "voltage",
            """
            (what is | {show} | read | measure) [{the}] voltage (of | on | at | from) {one}
            what voltage (is | does) {one} [have | at | show]
            how many (volts | millivolts) (is | are | does) [there] [on | at] {one} [have]
            """,
        ),
        (
            "servo",
            """
            (turn | set | move | drive | put) {one} to {number} degrees
            {one} to {number} degrees
            (turn | set | move | drive | put) [{the}] servo (on | at | of) {one} to {number} degrees
            """,
        ),
        (
            "count",
            """
            (count | start counting) [{the}] [pulses | edges | clicks] (on | at | of) {one}
            start {the} counter (on | at | of) {one}
            """,
        ),
        (
            "counted",
            """
            (what is | {show} | read) [{the}] (count | counter) (of | on | at) {one}
            how (many | much) [pulses | edges | clicks] (has | did) {one} (counted | count)
            how many (pulses | edges | clicks) (on | at) {one}
            """,
        ),
        (
            "uncount",
            """
            stop counting [pulses | edges | clicks] (on | at | of) {one}
            stop {the} counter (on | at | of) {one}
            """,
        ),
        ("pulse", "pulse {one} for {free}"),
        (
            "diagnostics",
            """
            [run | do | {show}] [{the}] [full] diagnostics
            (what are | get | read) [{the}] [full] diagnostics
            """,
        ),
        (
            "diagnose_store",
            """
            how many flash writes [are there | were there | have there been | have you made]
                [a day | per day | today]
            how (much | often) (do you | have you) (write | written) [to] [{the}] flash
            how many times (have you written | do you write) [to] [{the}] flash
            {show} [{the}] flash (writes | wear)
            """,
        ),
        (
            "diagnose_wifi",
            """
            how (good | strong | bad | weak | is) [is] [{the}] (wifi | wi fi | wlan | signal)
                [signal | reception]
            what is [{the}] (wifi | wi fi | wlan) (signal | strength | signal strength | level)
            (what is | {show}) [{the}] signal strength
            """,
        ),
    )
    for template in re.sub(r"\n {16,}", " ", block).strip().splitlines()
)

compiler: Final = Compiler(voc.WORDS, SLOTS)
TABLE: Final = compiler.table((template for _, template in ROWS), r"(?:[SH?]|<edge>)*\Z")
HANDLER_OF: Final = {f"r{i}": handler for i, (handler, _) in enumerate(ROWS)}
GAP: Final = re.compile(f"[SH?{compiler.chars('edge')}]*")

ABOUT: Final = wordset(
    "reboot restart reset factory version yourself running firmware software micropython ganglion "
    "toolset name called rename group groups diagnostics flash wifi wi-fi wi signal wlan board "
    "chip device add put and who voltage volts millivolts degrees count counting counted "
    "counter pulses edges clicks pulse"
)
"""Without one of these words no row can match."""
