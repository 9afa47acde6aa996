# `machine` as the ESP32 port has it, over the memory that the launcher shares.
import _hw
import umachine
from _hw import mem
from micropython import const
from umachine import Signal, idle, mem8, mem16, mem32  # noqa: F401

_CAUSE = const(0)
_UNIQUE_ID = const(56)
_PINS_VALID = const(64)
_PINS_IN_ONLY = const(72)
_PADS = const(6144)
_PAD_SIZE = const(16)
_LATCH = const(1)
_PULL = const(2)
_TRIGGER = const(5)
_PENDING = const(6)
_PWM_ON = const(7)
_STAMPS = const(10496)
_STAMP_SIZE = const(16)
_MODE_OUT = const(3)
_MODE_OPEN_DRAIN = const(7)
_PULL_DOWN = const(1)
_PULL_UP = const(2)
_EXIT_RESET = const(91)
_EXIT_SOFT_RESET = const(92)

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5


def reset():
    _hw.exit(_EXIT_RESET)


def soft_reset():
    _hw.exit(_EXIT_SOFT_RESET)


def reset_cause():
    return mem[_CAUSE]


def unique_id():
    return bytes(mem[_UNIQUE_ID : _UNIQUE_ID + 6])


def freq(hz=None):
    return 160000000


def time_pulse_us(pin, level, timeout_us=1000000):
    raise OSError(110)


def __getattr__(name):
    # What a program may well do without is loaded when it is first asked for.
    if name == "Timer":
        from _timer import Timer as found
    elif name == "RTC" or name == "WDT":
        import _system

        found = getattr(_system, name)
    elif name == "ADC" or name == "PWM":
        import _analog

        found = getattr(_analog, name)
    elif name == "I2C" or name == "SoftI2C":
        from _bus import I2C as found
    elif name == "bitstream":
        from _strip import bitstream as found
    elif name == "dht_readinto":
        from _sensor import dht_readinto as found
    else:
        raise AttributeError(name)
    return found


class Pin(umachine.PinBase):
    IN = 1
    OUT = _MODE_OUT
    OPEN_DRAIN = _MODE_OPEN_DRAIN
    PULL_DOWN = _PULL_DOWN
    PULL_UP = _PULL_UP
    IRQ_RISING = 1
    IRQ_FALLING = 2
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        if isinstance(id, Pin):
            id = id.id
        if not 0 <= id < 64 or not mem[_PINS_VALID + (id >> 3)] >> (id & 7) & 1:
            raise ValueError("invalid pin")
        self.id = id
        self._at = _PADS + id * _PAD_SIZE
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        at = self._at
        n = self.id
        if mode in (_MODE_OUT, _MODE_OPEN_DRAIN) and mem[_PINS_IN_ONLY + (n >> 3)] >> (n & 7) & 1:
            raise ValueError("pin can only be input")
        # The level before the mode, as on the chip: no glitch.
        if value is not None:
            self._set(bool(value))
        before = _hw.across(n)
        if pull != -1:
            mem[at + _PULL] = pull or 0
        if mode != -1:
            mem[at + _PWM_ON] = 0
            mem[at] = mode or 0
        _hw.edge(n, before)

    def value(self, x=None):
        """The level of the pad, whatever the latch says."""
        if x is not None:
            return self._set(bool(x))
        return _hw.level(self.id)

    __call__ = value

    def _set(self, level):
        at = self._at + _LATCH
        if mem[at] != level:
            before = _hw.across(self.id)
            # First the time: who sees the level finds it.
            _hw.now(0, _hw.address + _STAMPS + self.id * _STAMP_SIZE)
            mem[at] = level
            _hw.edge(self.id, before)

    def on(self):
        self._set(1)

    def off(self):
        self._set(0)

    def toggle(self):
        self._set(not mem[self._at + _LATCH])

    def irq(self, handler=None, trigger=3, *, wake=None, hard=False):
        mem[self._at + _TRIGGER] = 0
        mem[self._at + _PENDING] = 0
        if handler is None:
            _hw.pins.pop(self.id, None)
            return
        _hw.pins[self.id] = (handler, self)
        mem[self._at + _TRIGGER] = trigger & 3

    def __repr__(self):
        return "Pin(%d)" % self.id
