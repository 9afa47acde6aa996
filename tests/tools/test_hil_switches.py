"""Switches of the bench: a USB hub's port by uhubctl, a relay board, shell commands."""

import os
import sys
import time
import tty
from pathlib import Path

import pytest

from tools.hil import switches
from tools.hil.capabilities import Commands, Relay, Uhubctl, Virtual, Wifi
from tools.hil.switches import make_power, make_wifi, relay_bytes
from tools.problem import Problem

# What uhubctl 2.5 prints, for a USB 3 hub: two hubs to the system, which go together. `state` has
# the number of the port that is off, `how` what is wrong with it.
UHUBCTL = """#!{python}
import sys
from pathlib import Path
folder = Path({folder!r})
how = (folder / "how").read_text()
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with (folder / "asked").open("a") as file:
    print(*sys.argv[1:], file=file)
if how == "denied":
    print("There were permission problems while accessing USB.", file=sys.stderr)
    print("Follow https://git.io/JIB2Z for a fix!", file=sys.stderr)
if how in ("denied", "none") or args["-l"] != "1-1.4":
    print("No compatible devices detected at location " + args["-l"] + "!", file=sys.stderr)
    print("Run with -h to get usage info.", file=sys.stderr)
    sys.exit(1)
if how == "crashes":
    print("libusb: error", file=sys.stderr)
    sys.exit(3)
state = folder / "state"
def status(hub, on, off):
    for port in range(1, 5):
        if str(port) == args["-p"]:
            print(f"  Port {{port}}: " + (off if state.read_text() == str(port) else on))
hubs = {{
    "1-1.4 [2109:2822 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]":
        ("0103 power enable connect [1a86:7523 USB Serial]", "0000 off"),
    "2-1.4 [2109:0822 VIA Labs, Inc. USB3.1 Hub, USB 3.20, 4 ports, ppps]":
        ("02a0 power 5gbps Rx.Detect", "00a0 off"),
}}
for n, (hub, (on, off)) in enumerate(hubs.items()):
    print("Current status for hub " + hub)
    status(hub, on, off)
    if not (how == "half" and n):
        state.write_text(args["-p"] if args["-a"] == "off" and how != "stays" else "")
    else:
        state.write_text("")
    print("Sent power " + args["-a"] + " request")
    print("New status for hub " + hub)
    status(hub, on, off)
"""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder: `how` is what the fake uhubctl is like, `asked` how it was called."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/uhubctl"
    program.write_text(UHUBCTL.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "how").write_text("works")
    (tmp_path / "state").write_text("")
    return tmp_path


def test_a_hubs_port_goes_off_and_on(hub):
    switch = make_power(Uhubctl("1-1.4", 2))
    switch.off()
    assert (hub / "state").read_text() == "2"
    switch.on()
    assert (hub / "state").read_text() == ""
    assert (hub / "asked").read_text().splitlines() == [
        "-l 1-1.4 -p 2 -a off",
        "-l 1-1.4 -p 2 -a on",
    ]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("none", "there is no hub at 1-1.4 that can switch the power of one port"),
        ("denied", "no permission to switch the USB hub 1-1.4. Add the udev rule of https://"),
        ("stays", "port 2 of hub 1-1.4 did not go off. Try it by hand: uhubctl -l 1-1.4 -p 2"),
        ("half", "port 2 of hub 1-1.4 did not go off"),
        ("crashes", "hub 1-1.4 was not switched: exit status 3, libusb: error"),
    ],
)
def test_a_hub_that_does_not_switch_is_named(hub, how, told):
    (hub / "how").write_text(how)
    with pytest.raises(Problem) as caught:
        make_power(Uhubctl("1-1.4", 2)).off()
    assert told in str(caught.value)


def test_a_port_that_the_hub_has_not(hub):
    with pytest.raises(Problem, match=r"\[power\] port: hub 1-1.4 has no port 9"):
        make_power(Uhubctl("1-1.4", 9)).on()


def test_uhubctl_is_not_installed(monkeypatch):
    monkeypatch.setattr(switches.shutil, "which", lambda name, path: None)
    with pytest.raises(Problem, match=r"uhubctl is not installed\. Install it \(apt install uh"):
        make_power(Uhubctl("1-1", 2)).on()


def test_four_bytes_make_a_relay_pull():
    # As sellers of the LCUS-1 print them.
    assert relay_bytes(1, True).hex(" ") == "a0 01 01 a2"
    assert relay_bytes(1, False).hex(" ") == "a0 01 00 a1"
    assert relay_bytes(8, True).hex(" ") == "a0 08 01 a9"


@pytest.mark.parametrize("inverted", [False, True])
def test_a_relay_board_gets_them_at_its_serial_port(inverted):
    ours, its = os.openpty()
    try:
        tty.setraw(its)
        switch = make_power(Relay(os.ttyname(its), 2, inverted))
        for on in (True, False):
            (switch.on if on else switch.off)()
            assert os.read(ours, 64) == relay_bytes(2, on != inverted)
        speed = tty.tcgetattr(its)[tty.OSPEED]
        assert speed == tty.B9600
    finally:
        os.close(ours)
        os.close(its)


def test_a_relay_board_that_is_not_there(tmp_path):
    with pytest.raises(Problem, match=r"\[power\] relay: .*/none does not work: .*plugged in"):
        make_power(Relay(str(tmp_path / "none"))).on()


def test_commands_switch_power_and_wifi(tmp_path):
    state = tmp_path / "state"
    commands = Commands(f"echo on > {state}", f"echo off | tee {state}", "power")
    for switch in (make_power(commands), make_wifi(Wifi("", commands))):
        switch.on()
        assert state.read_text() == "on\n"
        switch.off()
        assert state.read_text() == "off\n"


def test_a_command_that_fails_is_told_with_what_it_complained_of():
    fails = Commands("echo fine; echo 'no such plug' >&2; exit 7; tok3n", "false", "wifi")
    with pytest.raises(Problem) as caught:
        make_wifi(Wifi("", fails)).on()
    said = str(caught.value)
    assert said == "[wifi] on: the command failed: exit status 7, no such plug"
    assert "tok3n" not in repr(fails)
    with pytest.raises(Problem, match=r"\[wifi\] off: .*exit status 1, and it said nothing"):
        make_wifi(Wifi("", fails)).off()


def test_a_command_without_end_is_killed_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(switches, "_COMMAND_S", 0.5)
    child = tmp_path / "child"
    hangs = Commands(f"sleep 60 & echo $! > {child}; wait", "true", "power")
    began = time.monotonic()
    with pytest.raises(Problem, match=r"\[power\] on: no end after 0.5 s; it was killed"):
        make_power(hangs).on()
    assert time.monotonic() - began < 10
    # The signal is sent; the system takes a moment to end it.
    until = time.monotonic() + 5
    while _runs(int(child.read_text())):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_a_command_leaves_in_the_background_is_not_waited_for(tmp_path):
    child = tmp_path / "child"
    made = Commands(f"sleep 60 & echo $! > {child}", "true", "power")
    began = time.monotonic()
    make_power(made).on()
    assert time.monotonic() - began < 10
    pid = int(child.read_text())
    assert _runs(pid)
    os.kill(pid, 9)


def _runs(pid: int) -> bool:
    """Not when it is dead and nobody has asked after it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def test_the_virtual_boards_switches_are_the_benchs():
    with pytest.raises(ValueError, match="power"):
        make_power(Virtual())
    with pytest.raises(ValueError, match="Wi-Fi"):
        make_wifi(Wifi("", Virtual()))
