"""The table of intents: which sentences there are, and which handler makes their calls.

A row is ``(handler, template)``; see ``templates`` for the notation and ``handlers`` for what
each does. The first row that fits a whole clause wins, so the special stand before the general.
"""

import re
from typing import Final

from companion.backends.commands import vocabulary as voc
from companion.backends.commands.templates import Compiler

SLOTS: dict[str, str] = {
    "target": "~<the>?(?:[GTUQE]|<it>)",
    "targets": "~<the>?(?:[GTUQE]|<it>)(?:S<the>?(?:[GTUQE]|<it>)){0,63}",
    "pin": "~<the>?G",
    "level": "~(?:<onoff>|<logic>|N)",
    "state": "([{level_word}] ({level_word}|{adjective}|open|shut|N) | {adjective} | {level_word})",
    "level_word": "({onoff} | {logic})",
    # At most 24 bytes: eight items are plenty.
    "name": "~<the>?[^SH?]{1,8}?",
    "free": "~[^SH?]{1,64}",
    "all": "~E",
    "and": "~S",
    "known": "~<the>?[GT]",
    "question": "~(?=<edge>*[?])",
    "direction": "(input | output)",
    "or_state": "(or {state} | or not)",
    "of": "(of | on | for | at | from)",
}

ROWS: tuple[tuple[str, str], ...] = tuple(
    (handler, template.strip())
    for handler, block in (
        # --- write -------------------------------------------------------------------------
        (
            "write",
            """
            {turn} {onoff} [[{the}] power (to|for|on|of)] {targets}
            {turn} [[{the}] power (to|for|on|of)] {targets} {onoff}
            {turn} {targets} to {onoff}
            {turn} {onoff} {the} (power|supply) (to|for|on|of) {targets}
            {turn} {the} (power|supply) (to|for|on|of) {targets} {onoff}
            {drive} {targets} [to] [be] {level}
            {drive} {targets} = {level}
            {drive} {targets} to [{the}] {reading} {level}
            {drive} {the} ({reading} | output) of {targets} to {level}
            {drive} {targets} 's ({reading} | output) to {level}
            {drive} ({reading} | output) of {targets} to {level}
            (write | output | send) [{the}] {level} (to | on | at) {targets}
            (write | output) {targets} [to | =] {level}
            {targets} (= | to | : | 's {reading} =) {level}
            (have | want | need | get | i want | i need | we want | we need | i would like)
                {targets} [to be] [turned | switched | set] [to] {level_word}
            get {targets} (going | running)
            {targets} (needs | need | has | have | ought) to be [turned | switched | set]
                {level_word}
            (make | get) sure [{the}] {targets} (is | are | 's) [turned | switched | set] [to]
                {state}
            ensure [{the}] {targets} (is | are | 's) [turned | switched | set] [to] {state}
            {targets} (should | must) be [turned | switched | set] [to] {level_word}
            """,
        ),
        (
            "write_on",
            """
            {on_verb} [up] {targets}
            {on_verb} {targets} up
            (light | power | fire | fire up | start | switch) up {targets}
            (light | power | fire) {targets} up
            """,
        ),
        (
            "write_off",
            """
            {off_verb} [off] {targets}
            {off_verb} {targets} off
            {off_verb} [{the}] (power | supply) (to | for | on | of) {targets}
            (shut | power | close) (down | off) {targets}
            (shut | power | close) {targets} (down | off)
            (turn | put | switch) out {targets}
            (turn | put | switch) {targets} out
            {targets} out
            """,
        ),
        ("open", "open [up] {targets}\n open {targets} up"),
        ("close", "(close | shut) [up] {targets}"),
        (
            "toggle",
            """
            {flip} {targets} [over]
            {flip} {the} {reading} of {targets}
            {flip} {targets} 's {reading}
            (change | reverse | switch) {the} state of {targets}
            """,
        ),
        # --- read --------------------------------------------------------------------------
        (
            "read_state",
            """
            {be} {targets} [turned | switched | set | pulled | driven] [to] {state} [{or_state}]
            {targets} {be} [turned | switched | set] {state} [{or_state}] {question}
            {targets} {state} {or_state}
            {targets} (be | 's) {state} {question}
            {be} {be} {targets} {state}
            """,
        ),
        (
            "read",
            """
            what {be} {the} [current] {reading} {of} {targets}
            what {be} [current] {reading} {of} {targets}
            what {be} {targets} 's [current] {reading}
            what {reading} ({be} | does | do) {targets} [have | at | in | on]
            (what | what [{the}] {reading}) ({be} | 's) {targets} (at | doing | reading |
                showing | set to | in)
            what (does | do) {targets} (read | say | show)
            [{the}] [current] {reading} {of} {targets}
            {targets} ['s] [current] {reading} [report | check]
            {fetch} [on | up | up on] [me] {targets} ['s] [{reading}]
            {fetch} [on | up on] [me] [{the}] [current] {reading} {of} {targets}
            (have | take) {the} look at {targets}
            look at {targets}
            (give | tell | show | get) (me | us) {targets} ['s] {reading}
            (give | tell | show | get) (me | us) [{the}] [current] {reading} {of} {targets}
            show (me | us) {targets}
            list {targets}
            how {be} {targets} [doing | looking]
            (tell me | let me know) how {targets} {be} [doing]
            """,
        ),
        (
            "read_if",
            """
            (check | see | verify | confirm | find out | look | test) [if | whether | that | to
                see if | to see whether] {targets} ({be} | 's) [turned | switched | set] {state}
                [{or_state}]
            (tell (me | us) | let (me | us) know | know | do you know | say | see | wonder) (if
                | whether) {targets} ({be} | 's) [turned | switched | set] {state} [{or_state}]
            (check | see | tell me) (if | whether) {targets} ({be} | 's) on [or off]
            """,
        ),
        (
            "which",
            """
            (what | which) {be} {state}
            (what | which) [of {the}] (points | pins | outputs | inputs | things | devices |
                gpio | ones) {be} [turned | switched | set | currently] {state}
            (what | which) (points | pins | outputs | inputs | things | devices | gpio) (do you
                have | have you got | do you know | are there | do we have)
            (what | which) {be} [{the}] (points | pins | outputs | inputs | devices)
            what {be} turned {onoff}
            (tell | show) me (what | which) {be} {state}
            {be} (something | anything) {state}
            [list | show | show me | give me | tell me | read | check | what {be} | report]
                [{the}] (points | outputs | inputs | pins)
            [show | read | tell me | give me | report] [{the}] ({reading} of) [{the}] (points |
                outputs | inputs | pins | gpio | board)
            (points | pin | pins | gpio) (status | state | states | list | overview)
            """,
        ),
        ("which_group", "(what | which) [of {the}] {target} {be} [turned | switched] {state}"),
        ("which_group", "(tell | show) me (what | which) {target} {be} [turned] {state}"),
        ("read", "what {be} {known}\n tell me about {known}"),
        # --- what leans on the clause before ---------------------------------------------------
        (
            "elliptic",
            "{targets} [to] {level_word}\n {targets} ({adjective} | open | shut) {question}",
        ),
        ("statement", "{targets} {be} [turned | switched | set] {state}"),
        # --- names -------------------------------------------------------------------------
        (
            "name_in",
            """
            {pin} is {the} input (called | named | labelled | labeled | for | :) {name}
            (use | make | set | set up | configure | treat | define) {pin} [as | to be] {the}
                input (called | named | labelled | labeled | for | :) {name}
            (use | make | set | set up | configure | treat | define) {pin} as input (called |
                named | labelled | labeled | for | :) {name}
            (call | name | label) {pin} {name} as [{the}] input
            (call | name | label) {pin} {name} {and} [{it} is] [as] {the} input
            (call | name | label) [{the}] input {pin} [as] {name}
            [{the}] input {pin} is [called | named] {name}
            {pin} is [called | named] {name} {and} {the} input
            {pin} is input {name}
            {name} is {the} input on {pin}
            {name} is (on | connected to | wired to | attached to) [{the}] input [on] {pin}
            {name} is (on | connected to | wired to | attached to) {pin} (as | {and}) {the} input
            """,
        ),
        (
            "name_out",
            """
            {pin} is {the} output (called | named | labelled | labeled | for | :) {name}
            (use | make | set | set up | configure | treat | define) {pin} [as | to be] {the}
                output (called | named | labelled | labeled | for | :) {name}
            (use | make | set | set up | configure | treat | define) {pin} as output (called |
                named | labelled | labeled | for | :) {name}
            (call | name | label) {pin} {name} as [{the}] output
            (call | name | label) {pin} {name} {and} [{it} is] [as] {the} output
            (call | name | label) [{the}] output {pin} [as] {name}
            [{the}] output {pin} is [called | named] {name}
            {pin} is [called | named] {name} {and} {the} output
            {name} is {the} output on {pin}
            {name} is (on | connected to | wired to | attached to) {pin} (as | {and}) {the} output
            """,
        ),
        (
            "name",
            """
            (call | name | label | christen | dub | nickname) {pin} [as | :] {name}
            [save | store | define | register | know] {pin} as {name}
            (give | set) {pin} {the} name [of | :] {name}
            set {the} name of {pin} to {name}
            set {pin} 's name to {name}
            {pin} 's name is {name}
            {the} name of {pin} is {name}
            {pin} is (called | named | labelled | labeled | known as | connected to | wired to |
                wired up to | attached to | hooked up to | for | linked to) {name}
            {pin} (means | controls | drives | runs | powers | switches | operates | = | :) {name}
            {pin} will be [called | named | known as] {name}
            (use | make) {pin} (for | as | the) {name}
            let {pin} be {name}
            {name} is (on | at | connected to | wired to | wired up to | attached to | hooked up
                to | plugged into | linked to | controlled by | driven by) {pin}
            {name} (means | = | hangs off | lives on | sits on | goes on) {pin}
            there is {name} (on | connected to | attached to | wired to) {pin}
            i (connected | attached | wired | wired up | plugged | hooked up | put) {name} (to |
                up to | on | into | at) {pin}
            i (have | 've) (connected | attached | wired | plugged | hooked up | put) {name} (to
                | on | into) {pin}
            (add | create | define | make) [{the}] point [called | named] {name} (on | at | for
                | as | with) {pin}
            assign {name} to {pin}
            (define | add) {name} (as | on | to be) {pin}
            """,
        ),
        # Without "the" it could be a state ("pin 5 is broken").
        ("name_the", "{pin} is {name}\n {name} is {pin}"),
        ("rename_pin", "change {the} name of {pin} to {name}\n change {pin} 's name to {name}"),
        (
            "rename",
            """
            rename {free}
            change {the} name of {target} to {free}
            """,
        ),
        # --- time and health ---------------------------------------------------------------
        (
            "time",
            """
            what {the} time [is] [it]
            what time is it [on your clock | today]
            what time do you (have | make it)
            (what is | tell me | give me | show me | check | get | read | know | do you know |
                have you got | do you have | got | you got) [{the}] [current | local] (time | date |
                day) [is it | it is | is today] [today] [and] [date | time]
            (tell me | do you know | know) what (time | day | date) (it is | is it) [today]
            what (day | date) is (it | today) [today]
            what is (today | today 's) [date | day]
            what (day | date | year | month) is (it | this | today)
            what day of {the} week is (it | today)
            what is {the} day of {the} week
            what (year | month) (is it | are we in)
            [{the}] [current] (time | date) [today]
            today 's date
            what is today 's date
            what is {the} (time | date) {and} [{the}] (time | date)
            [what is | tell me] {the} (date {and} [{the}] time | time {and} [{the}] date)
            """,
        ),
        (
            "health",
            """
            how are you [doing | feeling | going | getting on | today | holding up] [today]
            how do you (do | feel) [today]
            how is it going
            how is {the} (board | device | chip | system | health) [doing]
            how is everything
            are you (ok | well | fine | healthy | alive | up | online | good | awake | working |
                running | there | in good health) [today]
            are you feeling (ok | well | fine | good)
            you ok
            {be} {the} (board | device | chip) (ok | healthy | alive | up | online)
            [what is | give me | show me | show | check | tell me | get | report | run] [{the}]
                [system | board | device | chip | self] (health | uptime | diagnostics | vitals |
                heap) [check | report | status | info]
            [what is | give me | show me | show | check | tell me | get | report] [{the}]
                [system | board | device | chip | your] (status | state) [report | please]
            [what is | check | show] {the} (health | uptime) of {the} (board | device | chip |
                system)
            tell me how you are [doing | feeling]
            (run | do) {the} (health | self) (check | test)
            how much [free | spare] (memory | ram | heap | flash | space | storage) (is | do you
                have | have you got | is there) [free | left | available | remaining] [on {the}
                (board | device | chip)]
            how much (memory | ram | heap | flash | space | storage) (is | do you have | have
                you got) [still] (free | left | available | remaining | in use)
            [what is | show | show me | check | how is] {the} [free] (memory | heap | ram |
                flash) [usage | status | left | free]
            (free | available) (memory | ram | heap | flash | space)
            (memory | ram | heap | flash) (usage | free | left | status)
            how long have you been (up | running | on | awake | alive | online | going)
            how long is your uptime
            since when are you (up | running)
            when did you (boot | start | restart | reboot) [up | last]
            ping
            """,
        ),
        # --- memory ------------------------------------------------------------------------
        (
            "recall_all",
            """
            what (do | can) you (remember | know | recall) [about me | about us]
            what have (i | we) (told you | asked you to remember) [about me]
            what did (i | we) (tell you | ask you to remember)
            what is in [{the}] memory
            what do you have in [{the}] memory
            what (facts | things) do you (remember | know) [about me]
            what have you (remembered | stored | saved | memorised | noted)
            (list | show | show me | tell me | give me | read) [all] [{the}] (memory | memories
                | facts | notes) [you have | you remember | about me]
            (list | show | show me | tell me) ({all} you | what you | everything you) (remember
                | know | have remembered) [about me]
            (list | show | show me | tell me) {all} about me
            do you (remember | know) (anything | something) [about me]
            do you remember {all} about me
            (what are | list | show) {the} (memories | facts | notes)
            """,
        ),
        (
            "recall",
            """
            what (do | can) you (remember | recall) (about | of) {free}
            what (did | have) (i | we) (say | said | tell you | told you) [to you] about {free}
            tell me (what you | {all} you) remember about {free}
            do you (remember | recall) [about | what] {free}
            (recall | remember) {free} {question}
            """,
        ),
        (
            "recall_own",
            """
            what (do | can) you know (about | of) {free}
            tell me (what you | {all} you) know about {free}
            do you know [about | what] {free}
            (tell me | remind me | what) about {free}
            (tell | remind) me [of | what | when | where | who] {free}
            (recall | look up) {free}
            (what | who | when | where | which) {free}
            """,
        ),
        (
            "forget_all",
            """
            (forget | delete | erase | clear | wipe | remove) [out | about] {all} [you (know |
                remember) [about me]]
            (forget | delete | erase | clear | wipe | reset) [out] [all] [{the}] (memory |
                memories | facts | notes | points | names)
            (forget | delete | erase | clear) what you (know | remember) [about me]
            """,
        ),
        (
            "forget_name",
            """
            (forget | delete | remove | drop | clear) [{the}] (name | names | point | label |
                alias) [of | for | called | named | on] {targets}
            (forget | delete | remove | drop | clear) {targets} 's name
            (forget | delete | remove) {known} (name | point)
            (unname | unlabel) {targets}
            """,
        ),
        (
            "forget_fact",
            """
            (forget | delete | remove | erase) [{the}] (fact | facts | memory | note | notes |
                everything | {all}) (about | called | on | of | that) {free}
            (forget | delete | erase) (what (i | we) (said | told you) about | about) {free}
            (forget | delete | erase) ({all} | what) (i | we | you) (said | told you | know |
                remember) about {free}
            """,
        ),
        (
            "forget_fact",
            "(forget | delete | remove | erase) {the} (fact | memory | note) [called] {free}",
        ),
        ("forget", "(forget | delete | remove | erase) {free}"),
        # --- what follows from the clause before -----------------------------------------------
        ("inherit", "{targets}"),
        ("name_more", "{pin} [:] {name}"),
    )
    # A row goes on where the next line is indented deeper.
    for template in re.sub(r"\n {16,}", " ", block).strip().splitlines()
)  # fmt: skip

compiler: Final = Compiler(voc.WORDS, SLOTS)

AFTER: Final = r"<edge>*[?]?<edge>*(?:[SH]|\Z)"
TABLE: Final = compiler.table((template for _, template in ROWS), AFTER)
HANDLER_OF: Final = {f"r{i}": handler for i, (handler, _) in enumerate(ROWS)}
REMEMBER: Final = re.compile(
    compiler.pattern(
        "((note | write | jot | put) down | remember | memorise | note | take [{the}] note | "
        "make [{the}] [mental] note | (keep | bear) in mind | (save | store) ({the} fact | that) | "
        "(don't | do not | never) forget | i want you to (know | remember))"
    )
)
GAP: Final = re.compile(f"[SH?{compiler.chars('edge')}]*")
ASKED: Final = re.compile(f"[S{compiler.chars('edge')}]*[?]")
