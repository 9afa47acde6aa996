# Counts failed boots, then hands over. It imports nothing of ours before it has counted, so that
# even a firmware that cannot be imported ends in a console (MicroPython's own), not in a loop.
import sys

import machine

rtc = machine.RTC()
mem = bytes(rtc.memory())
failed = mem[3] if len(mem) > 3 and mem[:3] == b"GNG" else 0
rtc.memory(b"GNG" + bytes((min(failed + 1, 255),)) + mem[4:])
try:
    from ganglion import board

    board.main(failed, mem[4:])
except Exception as e:
    sys.print_exception(e)
    if failed < 3:
        log = bytes(rtc.memory())[4:][-500:] + b"fault: " + repr(e)[:150].encode() + b"\n"
        rtc.memory(b"GNG" + bytes((failed + 1,)) + log)
        machine.reset()
    print("ganglion: safe mode could not start; this is MicroPython's own console")
