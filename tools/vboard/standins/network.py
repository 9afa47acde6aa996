# `network` as the ESP32 port has it: one station, one access point in reach.
import time

from _hw import mem, text
from micropython import const

_NET_UP = const(1)
_UNIQUE_ID = const(56)
_SSID = const(80)
_PASSWORD = const(113)
# Joining takes a chip 1 to 3 s. This long is enough to see that it takes time.
_JOIN_MS = const(30)
# STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD: a password was given, and the access point is open.
_OPEN = const(210)

STA_IF = 0
AP_IF = 1
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202


def hostname(name=None):
    return "esp32"


class WLAN:
    IF_STA = 0
    IF_AP = 1
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2

    # The driver's own state; every WLAN object shows the same station.
    _on = False
    _result = None  # what joining comes to with the given name and password; None: not asked
    _ready = 0
    _last = STAT_IDLE  # kept until a new event, as on the chip

    def __init__(self, interface=STA_IF):
        pass

    def active(self, on=None):
        if on is None:
            return WLAN._on
        WLAN._on = bool(on)
        if not on:
            self.disconnect()

    def connect(self, ssid=None, key=None, *, bssid=None):
        if not WLAN._on:
            raise OSError("Wifi Not Started")
        WLAN._result = STAT_GOT_IP
        if ssid is not None and _bytes(ssid) != text(_SSID):
            WLAN._result = STAT_NO_AP_FOUND
        elif key and not mem[_PASSWORD]:
            WLAN._result = _OPEN
        elif _bytes(key or b"") != text(_PASSWORD):
            WLAN._result = STAT_WRONG_PASSWORD
        WLAN._ready = time.ticks_add(time.ticks_ms(), _JOIN_MS)
        WLAN._last = STAT_CONNECTING

    def disconnect(self):
        WLAN._result = None
        if WLAN._last in (STAT_CONNECTING, STAT_GOT_IP):
            WLAN._last = STAT_IDLE

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        if what == "rssi":
            return -50
        if WLAN._result is None:
            return WLAN._last
        if WLAN._last == STAT_CONNECTING and time.ticks_diff(WLAN._ready, time.ticks_ms()) > 0:
            return STAT_CONNECTING
        if mem[_NET_UP]:
            # The driver goes on trying by itself, so a network that comes back is joined.
            WLAN._last = WLAN._result
        elif WLAN._last == STAT_GOT_IP:
            WLAN._last = STAT_BEACON_TIMEOUT
        elif WLAN._last == STAT_CONNECTING:
            WLAN._last = STAT_NO_AP_FOUND
        return WLAN._last

    def config(self, what=None, **settings):
        if what == "mac":
            return bytes(mem[_UNIQUE_ID : _UNIQUE_ID + 6])
        if what in ("ssid", "essid"):
            return text(_SSID).decode()
        if what == "channel":
            return 1
        if what is not None:
            raise ValueError("unknown config param")

    def ifconfig(self, settings=None):
        ip = "192.0.2.2" if self.isconnected() else "0.0.0.0"
        return (ip, "255.255.255.0", "192.0.2.1", "192.0.2.1")

    def ipconfig(self, what=None, **settings):
        if what == "addr4":
            return self.ifconfig()[:2]
        if what == "gw4":
            return "192.0.2.1"

    def scan(self):
        if not mem[_NET_UP]:
            return []
        # (ssid, bssid, channel, RSSI, security, hidden); 3 is WPA2-PSK
        return [(text(_SSID), b"\2\0\0\0\0\1", 1, -50, 3 if mem[_PASSWORD] else 0, False)]


def _bytes(x):
    return x.encode() if isinstance(x, str) else x
