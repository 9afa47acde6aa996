"""ESP32-C3 modules and boards (MINI-1, WROOM-02 and kin).

Source: Espressif, "ESP32-C3 Series Datasheet", sections on pins and strapping pins; and "ESP-IDF
Programming Guide", GPIO page for the ESP32-C3.

To verify for your board: 8 carries a light on many boards, and 4 to 7 are JTAG only when a fuse
is burnt. 11 is free on chips with flash inside (FH4), where it supplies no flash; it is kept out
here. UART0 is 20 and 21; a board whose only connector is the chip's own USB has them free, and
they are kept out all the same. 12 to 17 are not on the pins of chips with flash inside.
"""

NAME = "esp32c3"

# May be driven and read.
IO = b"\x00\x01\x03\x04\x05\x06\x07\x0a"
# May be read only: none, every pin of this chip can be driven.
IN = b""

# First pin, last pin, why neither is allowed.
DENIED = (
    (2, 2, "must be high at reset, else the chip does not start"),
    (8, 8, "chooses the boot mode and what is printed at reset"),
    (9, 9, "is the boot button: held low at reset, the chip waits for a download"),
    (11, 11, "supplies the flash chip"),
    (12, 17, "is wired to the flash chip"),
    (18, 19, "is the USB port"),
    (20, 20, "is the serial console (RX)"),
    (21, 21, "is the serial console (TX)"),
)
