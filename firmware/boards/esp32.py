"""ESP32 modules without PSRAM (WROOM-32 and kin).

Source: Espressif, "ESP32 Series Datasheet", sections on pins, strapping pins and GPIO; and
"ESP-IDF Programming Guide", GPIO page for the ESP32.
"""

NAME = "esp32"

# May be driven and read. 5 and 15 are strapping pins that only set log and SDIO timing at
# reset; 2 must be low for download mode only.
IO = b"\x02\x04\x05\x0d\x0e\x0f\x10\x11\x12\x13\x15\x16\x17\x19\x1a\x1b\x20\x21"
# May be read only: no output driver, no pulls.
IN = b"\x22\x23\x24\x27"

# First pin, last pin, why neither is allowed.
DENIED = (
    (0, 0, "is the boot button: held low at reset, the chip waits for a download"),
    (1, 1, "is the serial console (TX)"),
    (3, 3, "is the serial console (RX)"),
    (6, 11, "is wired to the flash chip"),
    (12, 12, "sets the flash voltage at reset"),
)
