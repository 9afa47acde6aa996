# Boot order and safe mode, nothing else. Three failed boots in a row lead to safe mode.
import sys

import machine
from ganglion import board

try:
    board.main()
except Exception as e:
    sys.print_exception(e)
    machine.reset()
