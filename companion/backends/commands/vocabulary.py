"""The words of the grammar by class, and the phrases of politeness that carry nothing.

Words here are in the normalised form of ``tokens``. What is neither here nor in a template nor
in the lexicon of the device is unknown, and an unknown word makes the whole sentence declined.
"""

from companion.backends.commands.words import words, wordset

# Word classes that templates name as {class}.
WORDS: dict[str, tuple[str, ...]] = {
    "the": words("the a an my our your this that these those its"),
    "turn": words(
        "turn switch put power flick flip click knock get bring pop stick whack bung chuck"
    ),
    "on_verb": words("activate enable start engage energise illuminate ignite run light startup"),
    "off_verb": words(
        "kill cut deactivate disable stop disengage deenergise extinguish halt shutdown douse"
    ),
    "drive": words("set drive pull force make take turn switch bring put"),
    "flip": words("toggle flip flick invert"),
    "onoff": ("on", "off"),
    "logic": ("high", "low", "hi", "lo", "true", "false"),
    "adjective": words(
        "closed active inactive activated deactivated enabled disabled running stopped lit "
        "unlit powered energised engaged dark set going live"
    ),
    "be": ("is", "are"),
    "it": ("it", "them", "they"),
    "reading": words("state status level value reading position condition"),
    "fetch": words("read check query show report get inspect poll sense sample measure"),
    # May stand at the beginning or the end of a clause and change nothing.
    "edge": words(
        "ok hey hi hello yo oi so well right um uh er erm actually ganglion thanks cheers ta "
        "mate too again also then though btw dear friend buddy hmm oh ah yes yeah yep sure "
        "next first finally afterwards"
    ),
    # Break a run of unknown words; most occur in no template, so they also end the sentence.
    "stop": words(
        "in at for after before if when whenever while until till unless once because as "
        "without except but not don't never no none nor neither than or from with by about "
        "into during to of will would can could should shall may might must do does did has "
        "had have was were been being am i you we he she me us him her who whom whose why "
        "where what which how not only else instead other another every each all any both "
        "everything anything nothing same half second seconds sec secs minute minutes min mins "
        "hour hours hr hrs day days ms week weeks tonight tomorrow today yesterday later soon "
        "morning mornings evening evenings night nights afternoon daily weekly hourly always "
        "sunset sunrise dawn dusk noon midnight percent % up down out back over away 's pin "
        "pins gpio io through thru times twice"
    ),
    "mark": ("=", ":", "%", "'s"),
}

# Words that carry a level. Receipts say on and off, so this is also what a word claims.
LEVELS: dict[str, int] = {
    "on": 1, "high": 1, "hi": 1, "true": 1, "active": 1, "activated": 1, "enabled": 1,
    "running": 1, "lit": 1, "powered": 1, "energised": 1, "engaged": 1, "open": 1, "going": 1,
    "live": 1, "set": 1,
    "off": 0, "low": 0, "lo": 0, "false": 0, "inactive": 0, "deactivated": 0, "disabled": 0,
    "stopped": 0, "unlit": 0, "dark": 0, "closed": 0, "shut": 0, "out": 0,
}  # fmt: skip

# A device that closes when it is driven reads the other way round, so "close" says nothing here.
CONTACTS = frozenset(("relay", "contact", "contactor", "circuit", "switch", "breaker", "loop"))

# {phrase: whether it asks politely}. Left out wherever they stand, unless a name holds them.
FILLERS: dict[tuple[str, ...], bool] = {}
for _polite, _phrases in (
    (
        True,
        """
        please | kindly | could you | can you | would you | will you | could you please
        could we | can we | could i | can i | may i | might i | are you able to
        would you be able to | would you be so kind as to | would you be so kind and
        be so kind as to | be so good as to | be a dear and | would you be a dear and
        i would like you to | i want you to | i need you to | i would love you to
        i would like to | i want to | i need to | id like you to | id like to
        i would appreciate it if you could
        i would be grateful if you could | i would be glad if you could
        would it be possible to | is it possible to | is it possible for you to
        do me a favour and | do me a favor and | do us a favour and | be good and
        i was wondering if you could | i wonder if you could | i am wondering if you could
        you can | you could | you may | if you please
        if you do not mind | if you don't mind | if you wouldn't mind | if you would | if you could
        if you can | if possible | if that is ok | if it is ok | if you like
        if you would be so kind | when you have time
        when you can | when you get a chance | when you have a moment | when you get a moment
        would you mind | do you mind | would you be ok with | how about | would you care to
        you would be so kind as to | thank you | thank you very much | many thanks
        thanks a lot | thank you so much | much appreciated | if you will
        """,
    ),
    (
        False,
        """
        just | simply | now | right now | right away | straight away | immediately | at once | asap
        as soon as possible | for me | for us | go ahead and | go and | let us | quickly
        for now | at the moment | at this moment | currently | presently | already | still
        right this second | this instant | real quick | quick | back | go on and
        hurry up and | try to | try and | go | in here | in there
        really | maybe you could | one more time | once more | as well
        """,
    ),
):
    for _phrase in _phrases.replace("\n", "|").split("|"):
        if _phrase.strip():
            FILLERS[tuple(_phrase.split())] = _polite

# Join two things as "and" does.
JOINING = (("as", "well", "as"), ("along", "with"), ("together", "with"), ("in", "addition", "to"))

# After one of these a verb stands in its -ing form, and nowhere else.
GERUND_AFTER = frozenset(
    (
        ("would", "you", "mind"),
        ("do", "you", "mind"),
        ("would", "you", "be", "ok", "with"),
        ("how", "about"),
    )
)
GERUNDS: dict[str, str] = {
    "turning": "turn", "switching": "switch", "putting": "put", "setting": "set",
    "toggling": "toggle", "flipping": "flip", "killing": "kill", "cutting": "cut",
    "shutting": "shut", "opening": "open", "closing": "close", "starting": "start",
    "stopping": "stop", "enabling": "enable", "disabling": "disable", "reading": "read",
    "activating": "activate", "deactivating": "deactivate", "checking": "check",
    "driving": "drive", "pulling": "pull", "calling": "call", "naming": "name",
    "telling": "tell", "remembering": "remember", "forgetting": "forget", "powering": "power",
    "flicking": "flick", "making": "make", "noting": "note", "showing": "show",
    "giving": "give", "getting": "get", "running": "run", "inverting": "invert",
    "labelling": "label", "labeling": "label", "looking": "look", "listing": "list",
}  # fmt: skip

NEGATIONS = wordset(
    "not never no none nor neither without except but avoid instead nothing nobody only"
)

QUANTIFIERS = wordset("all every each any both everything anything")
# After a quantifier these are no part of a name: {noun: which points}.
KINDS: dict[str, str] = {
    "pins": "pins", "pin": "pins", "gpio": "pins", "gpios": "pins", "io": "pins",
    "points": "all", "point": "all", "things": "all", "thing": "all", "devices": "all",
    "device": "all", "names": "all",
    "outputs": "out", "output": "out", "inputs": "in", "input": "in",
}  # fmt: skip

FACTS = frozenset(("facts", "memories", "notes"))
"""After "all" these are what is remembered, not points."""

# What asks for more than a level of now.
ASKING = wordset("why did should who whose when how where does do has have was were am what which")

# A name made only of these could never be told from a command.
RESERVED = wordset(
    "on off high low hi lo true false all every each any both everything anything it them they "
    "that this pin pins gpio io input output inputs outputs point points and then or not no "
    "the a an out up down toggle what which is are please i you me us"
)
# A name holds none of these unless it is quoted: then more was said than a name.
NO_NAME = wordset(
    "is are was were be been to if when whenever until unless because that which who what whose "
    "not don't never no you i me we they it them will would could should can must has have had "
    "do does did than but except please at after before once while called named turn toggle "
    "broken working dead connected the a an my our your in for by from with every each all or "
    "tomorrow tonight today later soon twice times daily weekly hourly always then"
)
