"""ESP32-S3 modules (WROOM-1 and kin).

Source: Espressif, "ESP32-S3 Series Datasheet", sections on pins and strapping pins; and "ESP-IDF
Programming Guide", GPIO page for the ESP32-S3.

To verify for your module: 35 to 37 belong to octal PSRAM (names that end in R8 and the like) and
33, 34 to octal flash; they are kept out here for every module. 38, 39 to 42 (JTAG by option) and
48 carry a light or a button on some boards. UART0 is 43 and 44; a board whose only connector is
the chip's own USB has them free, and they are kept out all the same.
"""

NAME = "esp32s3"

# May be driven and read. 39 to 42 are JTAG only when a fuse is burnt.
IO = (
    b"\x01\x02\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"
    b"\x0d\x0e\x0f\x10\x11\x12\x15\x26\x27\x28\x29\x2a\x2f\x30"
)
# May be read only: none, every pin of this chip can be driven.
IN = b""

# First pin, last pin, why neither is allowed.
DENIED = (
    (0, 0, "is the boot button: held low at reset, the chip waits for a download"),
    (3, 3, "chooses the source of JTAG at reset"),
    (19, 20, "is the USB port"),
    (26, 32, "is wired to the flash chip or to PSRAM"),
    (33, 37, "is wired to octal flash or PSRAM on some modules"),
    (43, 43, "is the serial console (TX)"),
    (44, 44, "is the serial console (RX)"),
    (45, 45, "sets the flash voltage at reset"),
    (46, 46, "chooses the boot mode and what is printed at reset"),
)
