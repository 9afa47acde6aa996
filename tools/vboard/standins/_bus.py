# machine.I2C and SoftI2C: register devices, which the launcher puts on the one bus.
from _hw import mem
from micropython import const

_I2C = const(2816)
_I2C_SIZE = const(260)
_I2C_N = const(8)
_ENODEV = const(19)


def _find(addr):
    """Where the device's slot is: present, address, register pointer, 0, registers."""
    for at in range(_I2C, _I2C + _I2C_N * _I2C_SIZE, _I2C_SIZE):
        if mem[at] and mem[at + 1] == addr:
            return at
    raise OSError(_ENODEV)


class I2C:
    def __init__(self, id=0, *, scl=None, sda=None, freq=400000, timeout=50000):
        pass

    init = __init__

    def scan(self):
        ats = range(_I2C, _I2C + _I2C_N * _I2C_SIZE, _I2C_SIZE)
        return sorted([mem[at + 1] for at in ats if mem[at]])

    def writeto(self, addr, buf, stop=True):
        """The first byte sets the register, the rest goes into it and those after it."""
        at = _find(addr)
        for i in range(len(buf)):
            if i == 0:
                mem[at + 2] = buf[0]
            else:
                mem[at + 4 + mem[at + 2]] = buf[i]
                mem[at + 2] = mem[at + 2] + 1 & 255
        return len(buf)

    def writevto(self, addr, vector, stop=True):
        return self.writeto(addr, b"".join(vector), stop)

    def readfrom_into(self, addr, buf, stop=True):
        at = _find(addr)
        for i in range(len(buf)):
            buf[i] = mem[at + 4 + mem[at + 2]]
            mem[at + 2] = mem[at + 2] + 1 & 255

    def readfrom(self, addr, nbytes, stop=True):
        buf = bytearray(nbytes)
        self.readfrom_into(addr, buf)
        return bytes(buf)

    def readfrom_mem(self, addr, memaddr, nbytes, *, addrsize=8):
        self.writeto(addr, bytes((memaddr & 255,)))
        return self.readfrom(addr, nbytes)

    def readfrom_mem_into(self, addr, memaddr, buf, *, addrsize=8):
        self.writeto(addr, bytes((memaddr & 255,)))
        self.readfrom_into(addr, buf)

    def writeto_mem(self, addr, memaddr, buf, *, addrsize=8):
        self.writeto(addr, bytes((memaddr & 255,)) + bytes(buf))


SoftI2C = I2C
