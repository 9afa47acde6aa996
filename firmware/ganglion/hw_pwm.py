"""PWM. A chip's PWM goes on when nobody holds its object, so nothing stays in the heap."""

from machine import PWM, Pin


def start(gpio, freq, duty_u16):
    """`(freq, duty_u16)` as the hardware then has them. ValueError, OSError, RuntimeError."""
    pwm = PWM(Pin(gpio), freq=freq, duty_u16=duty_u16)
    return pwm.freq(), pwm.duty_u16()


def pulses(gpio, freq, ns):
    """Pulses of so many ns; as the hardware then has them."""
    pwm = PWM(Pin(gpio), freq=freq, duty_ns=ns)
    return pwm.duty_ns()


def stop(gpio):
    PWM(Pin(gpio)).deinit()
