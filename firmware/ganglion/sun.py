"""Sunrise and sunset, within two minutes between 65 degrees south and north, in single precision.

The sun's place is the low accuracy one of Meeus, "Astronomical Algorithms", 2nd ed., chapter 25
(the NOAA solar calculator uses the same), with its terms for 2000 to 2100; the rising is that
of chapter 15, with the altitude of -0.833 degrees of the upper limb and mean refraction.
"""

import math

from . import civil

_DEGREE = math.pi / 180
_SIN_TILT = 0.39774  # of the ecliptic: 23.437 degrees
_COS_TILT = 0.91750
_SIN_ALTITUDE = -0.014543


def times(year, month, day, lat, lon):
    """`(rise, set)` as Unix seconds UTC, each None where the sun does not cross the horizon.

    Degrees, north and east positive. The day is the one of mean solar time at `lon`: where the
    clock is far from the sun's (UTC+14 at 157 W) the local date is another.
    """
    days = civil.days(year, month, day)
    return _cross(days, lat, lon, -1), _cross(days, lat, lon, 1)


def _cross(days, lat, lon, side):
    # Whole cycles of 4 years are taken off in ints: degrees stay below 1800, where a float of
    # 24 bits is good to 0.0001.
    cycles, since = divmod(days - 10957, 1461)  # from 2000-01-01
    lat *= _DEGREE
    noon = 720 - 4 * lon  # minutes UTC, mean solar time
    minute = noon + 360 * side
    for _ in range(4):
        t = since + minute / 1440 - 0.5  # days since noon of 2000-01-01
        mean = 280.46646 + 0.98564736 * t + 0.0307932 * cycles  # less 360 a year
        anomaly = (357.52911 + 0.98560028 * t - 0.0379885 * cycles) * _DEGREE
        mean -= 0.00569  # aberration
        true = (mean + 1.9135 * math.sin(anomaly) + 0.01998 * math.sin(2 * anomaly)) * _DEGREE
        y = math.sin(true)
        ascension = math.atan2(_COS_TILT * y, math.cos(true)) / _DEGREE
        y *= _SIN_TILT  # the sine of the declination
        equation = 4 * ((mean - ascension + 180) % 360 - 180)  # of time, minutes
        x = (_SIN_ALTITUDE - math.sin(lat) * y) / (math.cos(lat) * math.sqrt(1 - y * y))
        # Next to the polar circles a guess may be out where the answer is not.
        angle = math.acos(max(-1, min(1, x))) / _DEGREE
        minute = noon - equation + 4 * angle * side
    return days * 86400 + round(minute * 60) if -1 <= x <= 1 else None
