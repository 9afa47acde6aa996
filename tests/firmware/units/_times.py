# Answers cases of tests/firmware/test_times.py, a line each: the function, then its arguments.
import sys

sys.path.insert(0, sys.argv[1])
from ganglion import cron, sun, tz

for line in sys.stdin:
    kind, text, *numbers = line.strip().split(";")
    if kind == "cron":
        print(cron.after(cron.parse(text), tuple(map(int, numbers))))
    elif kind == "offset":
        print(tz.offset(tz.parse(text), int(numbers[0])), tz.local(tz.parse(text), int(numbers[0])))
    elif kind == "unix":
        print(tz.unix(tz.parse(text), *map(int, numbers)))
    elif kind == "sun":
        date = map(int, text.split("-"))
        print(sun.times(*date, *map(float, numbers)))
