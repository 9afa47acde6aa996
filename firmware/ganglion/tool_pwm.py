"""PWM and servos. Receipts hold what the PWM has, which is what its clock can divide."""

from micropython import const

from . import lazy
from .tool_gpio import output
from .tools import ToolError

_SERVO_HZ = const(50)
_SERVO_MIN_NS = const(500000)
_SERVO_NS = const(2000000)  # from 0 to 180 degrees

SPECS = (
    (
        "pwm_set",
        "Dim an output or set a motor's speed: duty in %.",
        "pin:point freq:int1..40000 duty:num0..100",
        True,
        "{name} is at {duty} % of {freq} Hz",
    ),
    (
        "servo_set",
        "Turn a servo.",
        "pin:point degrees:num0..180",
        True,
        "{name} is at {degrees} degrees",
    ),
    ("pwm_stop", "End PWM or servo pulses on a pin.", "pin:point", True, "{name} has stopped"),
)


def call(kit, name, args):
    guard = kit.guard
    gpio = output(kit, args["pin"])[0]
    driver = guard.device("pwm")
    try:
        if name == "pwm_stop":
            if guard.uses.get(gpio) not in ("pwm", "servo"):
                raise ToolError("not_found", "there is no PWM on pin %d" % gpio)
            guard.drive(gpio, False, lambda: driver.stop(gpio))
            guard.free(gpio)
            return {"level": guard.read(gpio)}
        if name == "pwm_set":
            freq = args["freq"]
            duty = args["duty"]
            parts = int(duty * 65535 / 100 + 0.5)
            # Where 1 is off, a duty of 100 % is.
            on = duty < 100 if guard.off(gpio) else duty > 0
            got, shown = _drive(
                guard, gpio, "pwm", duty, on, lambda: driver.start(gpio, freq, parts)
            )
            receipt = {"freq": got, "duty": _short(shown * 100 / 65535)}
            wrong = abs(got - freq) * 20 > freq or abs(shown - parts) > 1311
        else:
            degrees = args["degrees"]
            ns = _SERVO_MIN_NS + int(degrees * (_SERVO_NS // 180))
            shown = _drive(
                guard, gpio, "servo", degrees, True, lambda: driver.pulses(gpio, _SERVO_HZ, ns)
            )
            receipt = {"degrees": _short((shown - _SERVO_MIN_NS) * 180 / _SERVO_NS)}
            wrong = abs(shown - ns) > _SERVO_NS // 90
        if wrong:
            guard.drive(gpio, False, lambda: driver.stop(gpio))
            guard.free(gpio)
            receipt["err"] = "mismatch"
            receipt["msg"] = "the PWM of pin %d was not set as asked and is off" % gpio
        return receipt
    finally:
        lazy.drop("hw_pwm")


def _drive(guard, gpio, use, value, on, act):
    guard.within(gpio, value)
    new = gpio not in guard.uses
    guard.take(gpio, use, True)
    try:
        shown = guard.drive(gpio, on, act)
    except Exception as e:
        if new:
            guard.free(gpio)
        # What the port raises when it has no more timers or channels.
        if isinstance(e, (ValueError, OSError, RuntimeError)):
            raise ToolError("device", "no PWM on pin %d: %s" % (gpio, e)) from None
        raise
    pulse = lazy.loaded("hw_pulse")
    if pulse:
        pulse.forget(gpio)
    return shown


def _short(x):
    """To a tenth, without one where it is whole."""
    x = int(x * 10 + 0.5)
    return x // 10 if x % 10 == 0 else x / 10
