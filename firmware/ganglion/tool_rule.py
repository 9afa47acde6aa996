"""The tools of rules. Their code is in do_rule.py: the two are never in the heap at once."""

SPECS = (
    (
        "rule_set",
        "Run a tool when a reading is so. read: a pin or point (on, off, changes), or sensor:"
        " {tool,args,field} (above or below value, between value and to, silent for value s),"
        " or event: the name of an MQTT event (these, or arrives, or equals value or text)."
        " for_s: it must hold so long. hours: '22:00-06:00'.",
        "name:str24 read?:point sensor?:obj event?:str24"
        " is:on|off|changes|above|below|between|silent|arrives|equals"
        " value?:num-1000000..1000000 to?:num-1000000..1000000 text?:str32 hyst?:num0..1000000"
        " for_s?:num0..86400 cool_s?:int0..86400 hours?:str11 tool:str24 args:obj",
        True,
        "",
    ),
    ("rule_list", "List rules, 8 at once.", "after?:str24", False, ""),
    ("rule_delete", "Forget a rule.", "name:str24", True, "I forgot the rule {name}"),
    ("rule_pause", "Pause a rule, or go on.", "name:str24 paused:bool", True, ""),
)
