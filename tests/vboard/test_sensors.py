"""What is wired to the pads: 1-Wire thermometers, DHTs, LED strips; the pads the ADC has."""

import pytest

from tools.vboard import BadOperation, BoardConfig

MAIN = """
import machine
from machine import ADC, Pin
import onewire, ds18x20, dht
def failing(f, *a):
    try: f(*a)
    except Exception as e: return repr(e)
def bus(): return ds18x20.DS18X20(onewire.OneWire(Pin(4)))
def measured(kind):
    d = kind(Pin(15)); d.measure(); return round(d.temperature(), 1), round(d.humidity(), 1)
def light(*c): machine.bitstream(Pin(16, Pin.OUT), 0, (400, 850, 800, 450), bytes(c))
"""


async def test_thermometers_share_a_pin(make):
    board = await make(MAIN)
    assert await board.ask("bus().scan()") == []
    assert "OneWireError" in await board.ask("failing(bus().convert_temp)")
    board.sensor(4, "ds18b20", celsius=-0.5)
    board.sensor(4, "ds18b20", celsius=21.4, rom=b"\x28ABCDEFG")
    await board.do("b = bus(); roms = b.scan()")
    assert await board.ask("bytes(roms[1])") == b"\x28ABCDEFG"
    assert await board.ask("b.read_temp(roms[0])") == 85  # until it is told to measure
    await board.do("b.convert_temp()")
    assert await board.ask("[b.read_temp(r) for r in roms]") == [-0.5, 21.375]
    await board.do("b.write_scratch(roms[1], b'\\x4b\\x46\\x1f')")
    assert await board.ask("b.read_temp(roms[1])") == 21
    board.sensor(4, "ds18b20", celsius=1, fail="crc")
    assert "CRC" in await board.ask("failing(b.read_temp, roms[0])")
    board.hold(4, 0)
    assert await board.ask("b.scan()") == []
    board.hold(4, None)
    board.sensor(4, None, rom=b"\x28ABCDEFG")
    assert await board.ask("len(b.scan())") == 1


async def test_dht(make):
    board = await make(MAIN)
    assert "OSError" in await board.ask("failing(measured, dht.DHT11)")
    board.sensor(15, "dht22", celsius=-12.3, humidity=99.9)
    assert await board.ask("measured(dht.DHT22)") == (-12.3, 99.9)
    board.sensor(15, "dht22", fail="crc")
    assert "checksum" in await board.ask("failing(measured, dht.DHT22)")
    board.sensor(15, "dht11", celsius=20, humidity=30)
    assert await board.ask("measured(dht.DHT11)") == (20, 30)


async def test_a_strip_keeps_its_colours_until_the_power_goes(make):
    board = await make(MAIN)
    assert board.strip(16) == []
    await board.do("light(1, 2, 3, 4, 5, 6)")
    assert board.strip(16) == ["#020103", "#050406"]
    await board.do("light(0, 0, 0)")
    assert board.strip(16) == ["#000000", "#050406"]
    await board.reset()
    assert board.strip(16) == ["#000000", "#050406"]
    await board.power(False)
    await board.power(True)
    assert board.strip(16) == []


async def test_the_adc_has_its_pads_and_shares_one_half_with_the_radio(make):
    board = await make(MAIN)
    assert "invalid pin" in await board.ask("failing(ADC, Pin(5))")
    board.adc(4, 500)
    await board.do("a = ADC(Pin(4), atten=ADC.ATTN_11DB)")
    assert await board.ask("a.read_uv()") == 500000
    await board.do("import network; network.WLAN().active(True)")
    assert "OSError" in await board.ask("failing(a.read_uv)")
    other = await make(MAIN, "c3", config=BoardConfig(board="esp32c3"))
    other.adc(5, 300)
    assert await other.ask("ADC(Pin(5)).read_uv()") == 300000


async def test_what_makes_no_sense_is_refused(make):
    board = await make("")
    for pin, kind, what in (
        (24, "dht22", {}),
        (4, "bmp280", {}),
        (4, "dht22", {"fail": "sometimes"}),
        (4, "ds18b20", {"rom": b"123"}),
    ):
        with pytest.raises(BadOperation):
            board.sensor(pin, kind, **what)
    for n in range(8):
        board.sensor(4, "ds18b20", rom=bytes((0x28, n, 0, 0, 0, 0, 0, 0)))
    with pytest.raises(BadOperation, match="8 sensors"):
        board.sensor(5, "dht11")
