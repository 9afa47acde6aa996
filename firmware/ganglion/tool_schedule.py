"""The tools of schedules. Their code is in do_schedule.py: never both are in the heap at once."""

SPECS = (
    (
        "schedule_set",
        "Run a tool by time. when: '0 7 * * mon-fri', 'every 30 s', 'every 2 h from 06:00',"
        " 'in 10 min', 'at 07:30', 'at 2026-12-24 18:00', 'sunset -30 min'. miss: what becomes"
        " of a run that was missed (skip; late: within late_min; expire).",
        "name:str24 when:str64 tool:str24 args:obj miss?:skip|late|expire late_min?:int1..1440"
        " until?:str16 runs?:int1..10000",
        True,
        "",
    ),
    ("schedule_list", "List schedules, 8 at once.", "after?:str24", False, ""),
    ("schedule_delete", "Forget a schedule.", "name:str24", True, "I forgot the schedule {name}"),
    ("schedule_pause", "Pause a schedule, or go on.", "name:str24 paused:bool", True, ""),
    ("set_timezone", "Set the time zone, as a POSIX TZ.", "tz:str64", True, "It is now {local}"),
    ("set_place", "Where the sun rises.", "lat:num-90..90 lon:num-180..180", True, ""),
)
