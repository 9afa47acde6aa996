# What a chip's console does once main.py has ended: MicroPython's friendly and raw REPL, as
# shared/runtime/pyexec.c has them, so that mpremote finds what it knows. On a chip it is C.
import sys

import _hw
from micropython import const

_REPL = const(14)
_RAW = const(15)
_WINDOW = const(128)  # of raw paste: bytes that may come unasked
_A = const(1)
_B = const(2)
_D = const(4)
_E = const(5)
_BACK = (8, 127)
_HEAD = b"raw REPL; CTRL-B to exit\n>"


class _SoftReset(Exception):
    pass


def run(g):
    """For ever; `g` is the dictionary of `__main__`."""
    raw = _hw.mem[_RAW]
    _hw.mem[_RAW] = 0
    _hw.mem[_REPL] = 1
    while True:
        try:
            raw = _raw(g) if raw else _friendly(g)
        except (SystemExit, _SoftReset):
            _hw.mem[_RAW] = raw
            _say("MPY: soft reboot\n")
            import machine

            machine.soft_reset()
        except KeyboardInterrupt:
            _say("\n")


def _say(text):
    sys.stdout.write(text)


def _byte():
    got = sys.stdin.buffer.read(1)
    if not got:
        _hw.exit(0)  # the line is gone, and the board with it
    return got[0]


# ---- friendly


def _friendly(g):
    """Until Ctrl-A; returns 1, the raw REPL's turn."""
    _say("MicroPython %d.%d.%d" % sys.implementation.version[:3])
    _say('; virtual board\nType "help()" for more information.\n')
    while True:
        try:
            text = _entered(">>> ")
            while text is not None and _goes_on(text):
                more = _entered("... ")
                if not more:
                    break
                text += "\n" + more
        except KeyboardInterrupt:
            _say("\n")
            continue
        if text is None:
            return 1
        if text:
            _exec(text, g, "single")


def _goes_on(text):
    return text.rstrip().endswith(":") or "\n" in text or text.count('"""') % 2


def _entered(prompt):
    """A line as typed, echoed; None for Ctrl-A. Raises _SoftReset for Ctrl-D."""
    _say(prompt)
    line = bytearray()
    while True:
        b = _byte()
        if b == 13 or b == 10:
            _say("\n")
            return line.decode()
        if b == _A and not line:
            _say("\n")
            return None
        if b == _B and not line:
            _say("\n")
            return ""
        if b == _D and not line:
            _say("\n")
            raise _SoftReset
        if b == _E and not line:
            return _pasted()
        if b in _BACK:
            if line:
                line = line[:-1]
                _say("\b \b")
        elif b >= 32:
            line.append(b)
            sys.stdout.buffer.write(bytes((b,)))


def _pasted():
    _say("paste mode; Ctrl-C to cancel, Ctrl-D to finish\n=== ")
    text = bytearray()
    while True:
        b = _byte()
        if b == _D:
            _say("\n")
            return text.decode() + "\n"
        if b == 13:
            b = 10
            _say("\n=== ")
        text.append(b)


# ---- raw


def _raw(g):
    """Until Ctrl-B; returns 0, the friendly REPL's turn."""
    _say(_HEAD.decode())
    code = bytearray()
    while True:
        try:
            b = _byte()
        except KeyboardInterrupt:
            code = bytearray()
            continue
        if b == _A:
            code = bytearray()
            _say(_HEAD.decode())
        elif b == _B:
            _say("\n")
            return 0
        elif b == _D:
            if not code:
                _say("OK")
                raise _SoftReset
            _say("OK")
            _answer(code, g)
            code = bytearray()
        elif b == _E and not code:
            if _byte() == 65 and _byte() == _A:  # "A\x01": raw paste
                pasted = _raw_paste()
                if pasted is not None:
                    _answer(pasted, g)
            else:
                _say("R\x00")
        else:
            code.append(b)


def _raw_paste():
    out = sys.stdout.buffer
    out.write(b"R\x01" + bytes((_WINDOW, 0, 1)))
    code = bytearray()
    left = _WINDOW
    try:
        while True:
            b = _byte()
            if b == _D:
                out.write(b"\x04")
                return code
            code.append(b)
            left -= 1
            if not left:
                left = _WINDOW
                out.write(b"\x01")
    except KeyboardInterrupt:
        out.write(b"\x04")
        return None


def _answer(code, g):
    """Run it: its output, EOT, the exception, EOT, the prompt."""
    error = None
    try:
        exec(compile(code.decode(), "<stdin>", "exec"), g)
    except SystemExit:
        sys.stdout.write("\x04\x04")
        raise
    except BaseException as e:
        error = e
    sys.stdout.write("\x04")
    if error is not None:
        sys.print_exception(error)
    sys.stdout.write("\x04>")


def _exec(text, g, kind):
    try:
        exec(compile(text, "<stdin>", kind), g)
    except SystemExit:
        raise
    except BaseException as e:
        sys.print_exception(e)
