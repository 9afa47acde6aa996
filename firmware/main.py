# Has the slot chosen (choose.py), counts failed boots, then hands over. It imports nothing of ours
# before it has counted, so that even a firmware that cannot be imported ends in a console
# (MicroPython's own), not in a loop.
#
# /slot is `/a 1024`: the folder in use and its version. While another one has to prove itself it is
# `/a 1024 /b 1025 3`: with that one's folder, its version, and how many boots it has left. Without
# /slot the files are in the root. trial.py does the rest. No update changes this file.
import sys

import machine

rtc = machine.RTC()
mem = bytes(rtc.memory())
failed = mem[3] if len(mem) > 3 and mem[:3] == b"GNG" else 0
left = -1
try:
    left = __import__("choose").choose()
except Exception as e:
    sys.print_exception(e)
sys.modules.pop("choose", None)
if left >= 0:
    failed = 0  # flash counts these; what the new one did is not the old one's fault
rtc.memory(b"GNG" + bytes((min(failed + 1, 255),)) + mem[4:])
try:
    if left >= 0:
        __import__("ganglion.trial", None, None, ("begin",)).begin()
    from ganglion import board

    board.main(failed, mem[4:])
except Exception as e:
    sys.print_exception(e)
    if failed < 3:
        log = bytes(rtc.memory())[4:][-500:] + b"fault: " + repr(e)[:150].encode() + b"\n"
        rtc.memory(b"GNG" + bytes((failed + 1,)) + log)
        machine.reset()
    print("ganglion: safe mode could not start; this is MicroPython's own console")
