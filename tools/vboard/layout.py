"""The hardware model's memory: one file, mapped by the launcher and by the MicroPython it runs.

This table is the authority. The stand-ins under `standins/` repeat the constants they need (a
`const()` that is inlined costs a chip-sized heap nothing), and a test compares the two.

Numbers are little-endian. All zero is a board that was just made: levels are stored as 0 for
none, 1 for low, 2 for high.
"""

from __future__ import annotations

SIZE = 12288

# -- one byte each
CAUSE = 0  # reset cause of this boot, machine.reset_cause()
NET_UP = 1  # the access point and all behind it can be reached
NTP_UP = 2  # an NTP server answers
TORN = 3  # the write that the power fails at is half done
CUT = 4  # set by the chip as its power fails at CUT_AT
WDT_ON = 5  # the watchdog runs
WDT_FED = 6  # counts feeds, wraps
REQUEST = 7  # 0, or what the launcher wants done in there: FILL, UNFILL
RESULT = 8  # of the request: 0 not done, DONE, FAILED
READY = 9  # signal handlers are in place
STAY = 10  # no time is left out now; see AHEAD
LEAPS = 11  # time may be left out in this board's world
SCHEDULED = 12  # a callback run is in the scheduler's queue
SIGNAL = 13  # number of the signal the launcher sends
REPL = 14  # MicroPython's prompt has the serial line, not the firmware
RAW = 15  # the soft reset came out of the raw REPL and goes back there

# -- words
WRITES = 16  # u32: flash programs and erases since the board was made
CUT_AT = 20  # u32: the power fails at the write of this number; 0 never
WDT_MS = 24  # u32: the watchdog's time-out
BYTES_LEFT = 28  # u32: argument of FILL
STANDIN_BYTES = 32  # u32: heap held by what is C on a chip
STANDIN_HEAP = 15360  # bytes added to the heap for it
NAMES_BYTES = 4480  # of these, for the table of names (standins/_boot.py)
STANDIN_NAMES = 190  # in that table for it
CLOCK = 40  # i64: the chip's clock less the host's, seconds
PORTS = 48  # 4 x u16: where the launcher listens for the board's connections
UNIQUE_ID = 56  # 6 bytes
PINS_VALID = 64  # 8 bytes: a bit a GPIO
PINS_IN_ONLY = 72  # 8 bytes

# -- blocks
SSID = 80  # u8 length, 32 bytes
PASSWORD = 113  # u8 length, 63 bytes; length 0 is an open network
TARGETS = 192  # 4 x (u8 length, 127 bytes): "host:port" behind each of PORTS
TARGET_SIZE = 128
TARGETS_N = 4
RTC_LEN = 704  # u16
RTC = 706  # RTC_SIZE bytes
RTC_SIZE = 2048
PINS_ADC = 2760  # 8 bytes: a bit a GPIO that the ADC can read
PINS_ADC2 = 2768  # 8 bytes: of these, those it cannot read while the radio is on
I2C = 2816  # 8 x (present, address, register pointer, 0, 256 registers)
I2C_SIZE = 260
I2C_N = 8
NVS = 4928  # 16 x (u8 name length, name of 31, u8 kind, u8 length, value of 30); outlives power
NVS_SIZE = 64
NVS_N = 16
PADS = 6144  # 64 x PAD_SIZE
PAD_SIZE = 16
PADS_N = 64
SENSORS = 7168  # 8 x SENSOR_SIZE
SENSOR_SIZE = 20
SENSORS_N = 8
STRIPS = 7328  # 4 x (GPIO + 1, 0, u16 bytes, 768 bytes as they came)
STRIP_SIZE = 772
STRIPS_N = 4
STRIP_MAX = 768
AHEAD = 10432  # i64: the clock of the board's world less the host's, ms
LEAP_TO = 10440  # i64: no time is left out past this, Unix ms of the world
LEAP_MS = 10448  # u32: the step, where tasks would sleep for less
LEAP_HEAP = 24576  # bytes added to the heap of a board that leaves time out
STAMPS = 10496  # 64 x STAMP_SIZE: when the chip last changed a pad's output register, as its C
STAMP_SIZE = 16  # library's `timespec` of the host's clock (two longs)
JUMPERS = 11520  # 64 x u8: the GPIO at the other end of a pad's wire + 1; 0 none

# -- in a pad
MODE = 0  # MODE_*
LATCH = 1  # the output register: 0, 1
PULL = 2  # PULL_*
HOLD = 3  # shorted to a level, whatever else
EXT = 4  # an outside driver
TRIGGER = 5  # interrupt on 1 rising, 2 falling, 3 both
PENDING = 6  # edges not yet handled, PENDING_MAX at most
PWM_ON = 7
MV = 8  # u16: millivolts for the ADC
DUTY = 10  # u16: 65535 is always high
FREQ = 12  # u32: Hz

# -- in a sensor
KIND = 0  # 0 none, DS18B20, DHT11, DHT22
GPIO = 1
FAIL = 2  # 0, or BAD_CRC, GONE, UNPOWERED
CONVERTED = 3  # a DS18B20's temperature register holds a measurement
ROM = 4  # 8 bytes
CELSIUS = 12  # i16: a DS18B20's in 1/16 degrees, a DHT's in 1/10
HUMIDITY = 14  # u16: 1/10 %
SCRATCH = 16  # 3 bytes: TH, TL, configuration

# -- values
DS18B20 = 1
DHT11 = 11
DHT22 = 22
BAD_CRC = 1
GONE = 2
UNPOWERED = 3
PENDING_MAX = 8  # the depth of the scheduler's queue on an ESP32: further edges are lost
MODE_OFF = 0
MODE_IN = 1
MODE_OUT = 3
MODE_OPEN_DRAIN = 7
PULL_DOWN = 1
PULL_UP = 2
PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
SOFT_RESET = 5
FILL = 1
UNFILL = 2
DONE = 1
FAILED = 2

# -- exit codes of the MicroPython process
EXIT_RESET = 91
EXIT_SOFT_RESET = 92

BLOCK_SIZE = 4096
EPOCH_2000 = 946684800  # where the chip's clock starts when the power comes on, in Unix seconds
