"""IANA names to POSIX TZ strings."""

import pytest

from companion import zones


@pytest.mark.parametrize(
    ("name", "posix"),
    [
        ("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"),
        ("America/New_York", "EST5EDT,M3.2.0,M11.1.0"),
        ("Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3"),
        ("Asia/Kathmandu", "<+0545>-5:45"),
        ("America/Sao_Paulo", "<-03>3"),
        ("UTC", "UTC0"),
        ("Etc/GMT+5", "<-05>5"),
    ],
)
def test_posix(name: str, posix: str) -> None:
    assert zones.posix(name) == posix


def test_every_name_has_one() -> None:
    assert len(zones.names()) > 400
    for name in zones.names():
        assert zones.posix(name), name


def test_without_the_system_the_package_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones.zoneinfo, "TZPATH", ())
    assert zones.posix("Europe/Berlin") == "CET-1CEST,M3.5.0,M10.5.0/3"
    with pytest.raises(ValueError, match="no time zone"):
        zones.posix("Europe/Nowhere")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("Asia/Calcuta", "Asia/Calcutta"),
    ],
)
def test_unknown_names_are_told_near_ones(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"no time zone '{name}'.*near: .*{near}"):
        zones.posix(name)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../Berlin", "Europe/../Berlin", "Europe", "tzdata.zi", "a\0b", "ß"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        zones.posix(name)
