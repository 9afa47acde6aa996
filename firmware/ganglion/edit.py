"""What a key does to the line that is being typed, and what of it is shown.

Loaded while somebody types. A terminal that echoes nothing is taken for granted; it sends CR, LF
or both, 0x08 or 0x7f, and escape sequences for what is no letter. What no keyboard sends (a wrong
baud rate) spoils its line and is neither kept nor shown. Ctrl-C leads to MicroPython's prompt
where a tool asks for it, and not by chance: docs/console.md.
"""

import select
import sys
import time

from micropython import const

_MAX_LINE_BYTES = const(1024)  # of what is said to the agent
_QUIET_MS = const(100)  # a person's keys are further apart than the bytes of a tool or of noise
_AGAIN_MS = const(5000)

# Flags; those up to _LONG are of one line (console.py).
_HIDDEN = const(1)
_DONE = const(2)
_BAD = const(4)
_LONG = const(8)
_CR = const(16)  # the last byte was one: a LF behind it is the same key
_ESC = const(32)
_CSI = const(64)
_TOLD = const(128)  # that a line was bad; once is enough, and what follows without a pause is, too
# What the last bytes were: a key for "Enter" behind silence, Ctrl-C behind silence, anything else.
_ENTER = const(256)
_CTRL_C = const(512)
_OTHER = const(1024)

_BATCH = const(64)  # bytes taken in one go: a paste outruns a task that takes one, and no more:
# a flood must not starve the agent

_stdin = sys.stdin.buffer
_more = select.poll()
_more.register(_stdin, select.POLLIN)


def read(state):
    """Take what is there. `state`: line, prompt, flags, ticks of the last byte. False at the end of
    the stream, which a serial line does not have."""
    for _ in range(_BATCH):
        byte = _stdin.read(1)
        if not byte:
            return False
        now = time.ticks_ms()
        gap_ms = time.ticks_diff(now, state[3])
        state[3] = now
        state[2] = key(state[0], byte, state[2], state[1], gap_ms)
        if state[2] & _DONE or not any(_more.ipoll(0)):
            break
    return True


def show(state, text):
    """Print beside what is being typed."""
    if state[1]:
        sys.stdout.write("\r\x1b[K")
    print(text)
    if state[1]:
        _redraw(state[0], state[2], state[1])


def key(line, byte, flags, prompt, gap_ms):
    """One byte, `gap_ms` after the one before. `line` is changed; returns the flags as they are
    now, with _DONE when the line is whole, and _BAD when it is not to be used. Raises
    KeyboardInterrupt where MicroPython's prompt is wanted."""
    c = byte[0]
    quiet = not 0 <= gap_ms < _QUIET_MS
    if c == 3:
        if (flags & _CTRL_C and 0 <= gap_ms < _AGAIN_MS) or (flags & _ENTER and not quiet):
            raise KeyboardInterrupt
        flags &= ~(_ENTER | _CTRL_C | _OTHER | _ESC | _CSI)
        if not quiet:
            return flags | _OTHER | _BAD
        print("\n(Ctrl-C again stops Ganglion: MicroPython's own prompt)")
        if flags & _HIDDEN:
            return flags | _CTRL_C | _BAD | _DONE
        return _clear(line, flags, prompt) | _CTRL_C
    if quiet:
        flags &= ~_TOLD
    elif flags & _TOLD:
        flags |= _BAD  # noise may look like a line for once
    enter = c == 13 or c == 10
    alone = enter and (quiet or flags & _ENTER)
    after_cr = flags & _CR
    flags = flags & ~(_ENTER | _CTRL_C | _OTHER | _CR) | (_ENTER if alone else _OTHER)
    if c == 13:
        flags |= _CR
    if c < 32:
        flags &= ~(_ESC | _CSI)
    if flags & _ESC:
        flags &= ~_ESC
        return flags | _CSI if c == 91 or c == 79 else flags
    if flags & _CSI:
        # Ends at its final byte; Linux puts a second bracket in front of some.
        return flags & ~_CSI if 64 <= c < 127 and c != 91 else flags
    if enter:
        return flags if c == 10 and after_cr else _end(line, flags)
    if c == 27:
        return flags | _ESC
    if c == 21:  # Ctrl-U
        return _clear(line, flags, prompt)
    if c == 8 or c == 127:
        _erase(line, flags, prompt)
    elif c == 0 or 27 < c < 32:
        flags |= _BAD
    elif c >= 32 or c == 9:
        if flags & (_BAD | _LONG):
            pass
        elif len(line) >= _MAX_LINE_BYTES:
            flags |= _LONG
            sys.stdout.write("\7")
        else:
            if c == 9:
                byte = b" "
            line.extend(byte)
            if not flags & _HIDDEN:
                sys.stdout.buffer.write(byte)
    return flags


def _end(line, flags):
    why = None
    if flags & _LONG:
        why = "A line may have %d bytes." % _MAX_LINE_BYTES
    elif not flags & _BAD:
        try:
            str(line, "utf-8")
        except UnicodeError:
            flags |= _BAD
    print()
    if flags & (_BAD | _LONG):
        if not flags & _TOLD:
            print(why or "That was no text (115200 baud, 8N1, UTF-8?).", "Nothing was done.")
        flags |= _TOLD | _BAD
    return flags | _DONE


def _clear(line, flags, prompt):
    line[:] = b""
    flags &= ~(_BAD | _LONG)
    _redraw(line, flags, prompt)
    return flags


def _erase(line, flags, prompt):
    """The last character, which may have several bytes."""
    n = len(line)
    while n:
        n -= 1
        c = line[n]
        if c & 0xC0 != 0x80:
            break
    else:
        return
    line[n:] = b""
    if c < 128 and not flags & _HIDDEN:
        sys.stdout.write("\b \b")
    else:
        _redraw(line, flags, prompt)  # it may have been two columns wide, or none


def _redraw(line, flags, prompt):
    sys.stdout.write("\r\x1b[K")
    sys.stdout.write(prompt)
    if not flags & _HIDDEN:
        sys.stdout.buffer.write(line)
