# Dates, cron lines, time zones and the sun, on MicroPython and on CPython. The random cases
# against other implementations are in tests/firmware/test_times.py.
from ganglion import civil, cron, sun, tz

BERLIN = tz.parse("CET-1CEST,M3.5.0,M10.5.0/3")


def refused(function, text):
    try:
        found = function(text)
    except ValueError as e:
        return str(e)
    raise AssertionError("%r gave %r" % (text, found))


def test_dates_and_day_numbers():
    assert civil.days(1970, 1, 1) == 0
    assert civil.days(2000, 1, 1) == 10957
    assert civil.days(2026, 11, 21) == 20778
    assert civil.weekday(20778) == 6  # a Saturday
    year, month, day = 1969, 12, 31
    for n in range(-1, 49000):
        assert civil.date(n) == (year, month, day), n
        assert civil.days(year, month, day) == n
        day += 1
        if day > civil.month_days(year, month):
            day = 1
            month += 1
            if month > 12:
                month = 1
                year += 1


def test_month_days_of_centuries():
    assert [civil.month_days(y, 2) for y in (1900, 2000, 2024, 2026, 2100)] == [28, 29, 29, 28, 28]


def test_cron_masks():
    assert cron.parse("* * * * *") == (2**60 - 1, 2**24 - 1, 2**32 - 2, 2**13 - 2, 127, 0)
    assert cron.parse("5 4 3 2 1") == (1 << 5, 1 << 4, 1 << 3, 1 << 2, 1 << 1, 1)
    assert cron.parse("1,3-5,*/30 0 * * *")[0] == 1 << 1 | 7 << 3 | 1 | 1 << 30
    assert cron.parse("10-20/5 0 * * *")[0] == 1 << 10 | 1 << 15 | 1 << 20
    assert cron.parse("50/5 0 * * *")[0] == 1 << 50 | 1 << 55
    assert cron.parse("0 22-2 * * *")[1] == 3 << 22 | 7
    assert cron.parse("  0\t0 1 JAN,dec Mon-Fri ")[3:] == (1 << 1 | 1 << 12, 62, 1)
    for text, mask in (
        ("0", 1),
        ("7", 1),
        ("0-7", 127),
        ("5-7", 1 | 3 << 5),
        ("sat-sun", 1 | 1 << 6),
        ("fri-mon", 3 | 3 << 5),
        ("7-2", 7),
        ("*/2", 85),
        ("1/2", 1 << 1 | 1 << 3 | 1 << 5),
    ):
        assert cron.parse("0 0 * * " + text)[4] == mask, text


def test_cron_refuses_and_says_what_is_allowed():
    for text, says in (
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("* * * * * *", "minute hour day month weekday"),
        ("@daily", "1 fields"),
        ("60 * * * *", "minute: '60' is not allowed; 0 to 59"),
        ("* 24 * * *", "hour: '24' is not allowed; 0 to 23"),
        ("* * 0 * *", "day of month: '0' is not allowed; 1 to 31"),
        ("* * 32 * *", "day of month"),
        ("* * * 13 *", "month: '13' is not allowed; 1 to 12 or jan to dec"),
        ("* * * mon *", "month: 'mon'"),
        ("* * * * 8", "day of week: '8' is not allowed; 0 to 7 or sun to sat"),
        ("* * * * jan", "day of week"),
        ("* * * * unm", "day of week"),
        ("* * * * monday", "day of week"),
        ("*/0 * * * *", "minute: '*/0'"),
        ("*/61 * * * *", "minute"),
        ("*/ * * * *", "minute"),
        ("/5 * * * *", "minute"),
        ("1,,2 * * * *", "minute: ''"),
        ("1- * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("1-2-3 * * * *", "minute"),
        ("*-5 * * * *", "minute"),
        ("+5 * * * *", "minute"),
        ("1/2/3 * * * *", "minute"),
        ("1_0 * * * *", "minute"),
        ("99999999999999999999 * * * *", "minute"),
        ("* * ? * *", "day of month"),
        ("* * L * *", "day of month"),
        ("* * * * 1#2", "day of week"),
        ("0 0 30 2 *", "day of month: 30 does not come in month 2"),
        ("0 0 30,31 feb *", "day of month"),
        ("0 0 31 4,6,9,11 *", "day of month"),
    ):
        found = refused(cron.parse, text)
        assert says in found, (text, found)


def following(text, local, n):
    masks = cron.parse(text)
    out = []
    for _ in range(n):
        local = cron.after(masks, local)
        out.append(local)
    return out


def test_cron_after():
    assert following("*/20 * * * *", (2026, 12, 31, 23, 20), 3) == [
        (2026, 12, 31, 23, 40),
        (2027, 1, 1, 0, 0),
        (2027, 1, 1, 0, 20),
    ]
    # Strictly later, also when `local` itself matches.
    assert following("30 7 * * *", (2026, 3, 1, 7, 30), 1) == [(2026, 3, 2, 7, 30)]
    assert following("30 7 * * *", (2026, 3, 1, 7, 29), 1) == [(2026, 3, 1, 7, 30)]
    assert following("0 8 * * mon-fri", (2026, 11, 21, 12, 0), 1) == [(2026, 11, 23, 8, 0)]
    assert following("0 0 31 * *", (2026, 1, 31, 0, 0), 2) == [
        (2026, 3, 31, 0, 0),
        (2026, 5, 31, 0, 0),
    ]


def test_cron_either_day():
    # 2026-11-13 is a Friday; with both fields of days given, one is enough.
    assert following("0 0 13 * fri", (2026, 11, 10, 0, 0), 3) == [
        (2026, 11, 13, 0, 0),
        (2026, 11, 20, 0, 0),
        (2026, 11, 27, 0, 0),
    ]
    # One starts with *: both must match.
    assert following("0 0 */2 * fri", (2026, 11, 1, 0, 0), 2) == [
        (2026, 11, 13, 0, 0),
        (2026, 11, 27, 0, 0),
    ]
    # A day that never comes is no error where the other field has days.
    assert following("0 0 30 2 mon", (2026, 1, 1, 0, 0), 1) == [(2026, 2, 2, 0, 0)]


def test_cron_leap_days():
    assert following("0 0 29 2 *", (2026, 1, 1, 0, 0), 2) == [
        (2028, 2, 29, 0, 0),
        (2032, 2, 29, 0, 0),
    ]
    # 2100 is no leap year: eight years are just enough.
    assert following("0 0 29 2 *", (2096, 2, 29, 0, 0), 1) == [(2104, 2, 29, 0, 0)]
    # 29 February on a Sunday: 2032, then 2060.
    masks = cron.parse("0 0 29 2 */7")
    assert cron.after(masks, (2026, 1, 1, 0, 0)) == (2032, 2, 29, 0, 0)
    assert cron.after(masks, (2033, 1, 1, 0, 0)) is None


def test_zone_tuples():
    assert tz.parse("UTC0") == (0,)
    assert tz.parse("<+0545>-5:45") == (20700,)
    assert tz.parse("<-03>3") == (-10800,)
    assert tz.parse("IST-5:30:15") == (19815,)
    assert BERLIN == (3600, 7200, 3 * 64 + 5 * 8, 7200, 10 * 64 + 5 * 8, 10800)
    zone = tz.parse("EST5EDT4:30,J60/-1:30,365/167")
    assert zone[:2] == (-18000, -16200)
    assert (zone[3], zone[5]) == (-5400, 167 * 3600)


def test_zone_refused():
    for text, says in (
        ("", "name of 3 letters"),
        ("Europe/Berlin", "needs a number"),
        ("CE-1", "name of 3 letters"),
        ("<+3>-3", "name of 3 letters"),
        ("<+03-3", "name of 3 letters"),
        ("CET", "needs a number 0 to 24"),
        ("CET-25", "0 to 24"),
        ("CET-1:60", "0 to 59"),
        ("CET-1:", "0 to 59"),
        ("CET--1", "0 to 24"),
        ("CET-1CEST", "start and end"),
        ("CET-1CEST,M3.5.0", "start and end"),
        ("CET-1CEST,M13.5.0,M10.5.0", "'13.5.0,M10.5.0' needs a number 1 to 12"),
        ("CET-1CEST,M3.6.0,M10.5.0", "1 to 5"),
        ("CET-1CEST,M3.5.7,M10.5.0", "0 to 6"),
        ("CET-1CEST,M3.5,M10.5.0", "month.week.weekday"),
        ("CET-1CEST,J0,J300", "1 to 365"),
        ("CET-1CEST,J366,J300", "1 to 365"),
        ("CET-1CEST,366,300", "0 to 365"),
        ("CET-1CEST,,300", "0 to 365"),
        ("CET-1CEST,M3.5.0/168,M10.5.0", "0 to 167"),
        ("CET-1CEST,M3.5.0,M10.5.0/3 ", "too much"),
        ("CET-1CEST,M3.5.0,M10.5.0,M1.1.1", "too much"),
    ):
        found = refused(tz.parse, text)
        assert found.startswith("zone: ") and says in found, (text, found)


def test_zone_changes():
    # 2026-03-29 01:00 UTC and 2026-10-25 01:00 UTC.
    for change, before, after in ((1774746000, 3600, 7200), (1792890000, 7200, 3600)):
        assert tz.offset(BERLIN, change - 1) == (before, before == 7200)
        assert tz.offset(BERLIN, change) == (after, after == 7200)
    assert tz.local(BERLIN, 1774746000 - 60) == (2026, 3, 29, 1, 59)
    assert tz.local(BERLIN, 1774746000) == (2026, 3, 29, 3, 0)
    assert tz.local((20700,), 1767225600 + 20 * 3600) == (2026, 1, 2, 1, 45)


def test_zone_hour_that_comes_twice_or_never():
    assert tz.unix(BERLIN, 2026, 10, 25, 2, 30) == 1792890000 - 1800
    assert tz.unix(BERLIN, 2026, 10, 25, 3, 0) == 1792890000 + 3600
    for minute in (0, 30, 59):
        assert tz.unix(BERLIN, 2026, 3, 29, 2, minute) == 1774746000
    assert tz.unix(BERLIN, 2026, 3, 29, 3, 0) == 1774746000
    assert tz.unix(BERLIN, 2026, 3, 29, 1, 59) == 1774746000 - 60
    assert tz.unix((0,), 2026, 1, 1, 0, 0) == 1767225600


def test_zone_south_and_odd_ones():
    sydney = tz.parse("AEST-10AEDT,M10.1.0,M4.1.0/3")
    assert tz.offset(sydney, 1767225600) == (39600, True)  # New Year
    assert tz.offset(sydney, 1782864000) == (36000, False)  # July
    # RFC 8536: summer time all year.
    ever = tz.parse("EST5EDT,0/0,J365/25")
    for day in range(0, 800):
        for second in (-1, 0, 1, 14399, 14400, 14401, 18000):
            assert tz.offset(ever, 1767225600 + day * 86400 + second) == (-14400, True)
    # Dublin's winter time is the one that is called daylight saving.
    dublin = tz.parse("IST-1GMT0,M10.5.0,M3.5.0/1")
    assert tz.offset(dublin, 1767225600) == (0, True)
    assert tz.unix(dublin, 2026, 3, 29, 1, 30) == 1774746000
    assert tz.unix(dublin, 2026, 10, 25, 1, 30) == 1792890000 - 1800
    # Jn counts no 29 February, n does.
    julian = tz.parse("AAA0BBB,J60/0,J300/0")
    ordinal = tz.parse("AAA0BBB,59/0,J300/0")
    assert tz.unix(julian, 2028, 3, 1, 0, 30) == tz.unix(julian, 2028, 3, 1, 1, 0)
    assert tz.unix(ordinal, 2028, 2, 29, 0, 30) == tz.unix(ordinal, 2028, 2, 29, 1, 0)


# By PyEphem 4.2.1 (VSOP87), upper limb, 34 minutes of refraction.
SUN = (
    ((2026, 6, 21), 52.52, 13.41, 1782009787, 1782070393),  # Berlin
    ((2026, 12, 21), 52.52, 13.41, 1797837291, 1797864837),
    ((2030, 3, 20), 0.0, 0.0, 1900217051, 1900260641),
    ((2026, 11, 21), -33.87, 151.21, 1795200027, 1795250508),  # Sydney
    ((2060, 9, 1), 61.22, -149.9, 2861276046, 2861326967),  # Anchorage
    ((2099, 12, 31), -17.71, 178.06, 4102335310, 4102382743),  # Fiji
)


def test_sun():
    for place in SUN:
        date, lat, lon, rise, down = place
        found = sun.times(date[0], date[1], date[2], lat, lon)
        assert abs(found[0] - rise) < 60 and abs(found[1] - down) < 60, (place, found)


def test_no_sunrise():
    assert sun.times(2026, 6, 21, 69.65, 18.96) == (None, None)  # Tromsø, day
    assert sun.times(2026, 12, 21, 69.65, 18.96) == (None, None)  # and night
    assert sun.times(2026, 12, 21, 90, 0) == (None, None)
    assert sun.times(2026, 12, 21, -90, 0) == (None, None)
    rise, down = sun.times(2026, 6, 21, 65, 18.96)
    assert 21 * 3600 < down - rise < 24 * 3600
