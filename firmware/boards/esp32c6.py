"""ESP32-C6 modules and boards (WROOM-1, MINI-1 and kin).

Source: Espressif, "ESP32-C6 Series Datasheet", sections on pins and strapping pins; and "ESP-IDF
Programming Guide", GPIO page for the ESP32-C6.

To verify for your board: 8 carries a light on many boards. 10, 11 are not on the pins of chips
with flash inside, 14 is not on those without. UART0 is 16 and 17; a board whose only connector is
the chip's own USB has them free, and they are kept out all the same. 6 and 7 are JTAG only when a
fuse is burnt.
"""

NAME = "esp32c6"

# May be driven and read.
IO = b"\x00\x01\x02\x03\x06\x07\x0a\x0b\x0e\x12\x13\x14\x15\x16\x17"
# May be read only: none, every pin of this chip can be driven.
IN = b""

# First pin, last pin, why neither is allowed.
DENIED = (
    (4, 5, "sets the timing of SDIO at reset"),
    (8, 8, "chooses the boot mode and what is printed at reset"),
    (9, 9, "is the boot button: held low at reset, the chip waits for a download"),
    (12, 13, "is the USB port"),
    (15, 15, "chooses the source of JTAG at reset"),
    (16, 16, "is the serial console (TX)"),
    (17, 17, "is the serial console (RX)"),
    (24, 30, "is wired to the flash chip"),
)
