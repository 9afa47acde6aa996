"""``make flash``: from a chip to a board that talks, by esptool and mpremote."""
