"""ESP32-S2 modules (WROOM, WROVER, MINI-1, SOLO and kin).

Source: Espressif, "ESP32-S2 Series Datasheet", sections on pins and strapping pins; and "ESP-IDF
Programming Guide", GPIO page for the ESP32-S2: 0 to 21 and 26 to 46 exist.

To verify for your module: 33 to 37 belong to octal flash where a board has one, and are kept out
here for every module. 18 carries a light on many boards; 39 to 42 are JTAG by option. UART0 is 43
and 44; a board whose only connector is the chip's own USB has them free, and they are kept out all
the same.
"""

NAME = "esp32s2"

# May be driven and read.
IO = (
    b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x15"
    b"\x26\x27\x28\x29\x2a"
)
# May be read only: none that is not a strapping pin.
IN = b""

# First pin, last pin, why neither is allowed.
DENIED = (
    (0, 0, "is the boot button: held low at reset, the chip waits for a download"),
    (19, 20, "is the USB port"),
    (26, 32, "is wired to the flash chip or to PSRAM"),
    (33, 37, "is wired to octal flash on some modules"),
    (43, 43, "is the serial console (TX)"),
    (44, 44, "is the serial console (RX)"),
    (45, 45, "sets the flash voltage at reset"),
    (46, 46, "chooses the boot mode and what is printed at reset"),
)
