"""A part imports only what lies below it (docs/architecture.md)."""

import ast
from pathlib import Path

import pytest

from tools.mangle import private_names

ROOT = Path(__file__).resolve().parents[1]

# Part -> parts it may import. What is not listed here may be imported by nobody but the top.
FIRMWARE = {
    "__init__": set(),
    "lazy": set(),
    "mqtt": set(),
    "mqtt_open": {"mqtt"},
    "store": {"lazy", "store_log"},
    "store_log": {"store"},
    "clock": set(),
    "civil": set(),
    "cron": {"civil"},
    "tz": {"civil"},
    "sun": {"civil"},
    "inbox": set(),
    "talk": {"lazy", "talk_flash"},
    "talk_flash": {"store", "talk"},
    "facts": {"store"},
    "guard": {"guard_set", "lazy"},
    "guard_set": {"guard", "store"},
    "wifi": set(),
    "points": set(),
    "outbox": {"lazy", "outbox_flash", "talk"},
    "outbox_flash": {"store"},
    "dial": {"clock"},
    "link": {"dial", "lazy", "mqtt", "mqtt_open", "wifi"},
    "tools": {"group", "guard", "lazy", "store"},
    "group": {"guard", "lazy", "tool_gpio", "tools"},
    "tool_gpio": {"group", "guard", "lazy", "tools"},
    "tool_points": {"group", "lazy", "points", "tools"},
    "tool_device": {"", "tools"},
    "tool_memory": {"tools"},
    "tool_limit": {"guard_set", "lazy", "tools"},
    "tool_system": {"tools", "clock", "lazy", "tz"},
    "tool_pulse": {"clock", "tool_gpio", "tools"},
    "tool_pwm": {"lazy", "tool_gpio", "tools"},
    "tool_adc": {"lazy", "tools"},
    "tool_i2c": {"lazy", "tools"},
    "tool_sensor": {"lazy", "tools"},
    "tool_neopixel": {"lazy", "tool_gpio", "tools"},
    "tool_counter": {"lazy", "tools"},
    # Loaded by the guard alone, see below.
    "hw_pulse": {"guard", "lazy"},
    "hw_pwm": set(),
    "hw_adc": set(),
    "hw_i2c": set(),
    "hw_ds18x20": set(),
    "hw_dht": set(),
    "hw_neopixel": set(),
    "hw_counter": set(),
    "hello": {"", "clock", "talk"},
    "presence": {"clock", "hello", "lazy"},
    "asker": {"asking", "lazy", "talk"},
    "asking": {"asker", "facts", "lazy", "talk"},
    "amiss": {"inbox", "talk"},
    "reply": {"lazy", "tools"},
    "agent": {
        "amiss",
        "asker",
        "clock",
        "fetch",
        "inbox",
        "lazy",
        "offer",
        "outbox",
        "presence",
        "reply",
        "settings",
        "talk",
        "tools",
    },
    "slots": set(),
    "signed": set(),
    "offer": {"", "clock", "fetch", "inbox", "lazy", "signed", "slots", "talk"},
    "fetch": {"lazy", "slots"},
    "trial": {"", "lazy", "slots"},
    "settings_file": set(),
    "settings": {"lazy", "settings_file", "signed", "slots", "tool_device"},
    "settings_trial": {"lazy", "settings_file", "tool_device"},
    "when": {"cron", "lazy", "sun", "tz"},
    "when_form": {"cron", "lazy", "tz"},
    "plan": {"lazy", "when"},
    "schedule": {"clock", "lazy", "plan"},
    "rules": {"clock", "lazy", "rows", "trigger", "tz"},
    "rows": {"rules"},
    "trigger": {"clock"},
    "deeds": {"cron", "lazy", "tools", "tz"},
    "wording": {"deeds", "lazy"},
    "schedule_form": {"clock", "lazy", "tools", "when_form"},
    "tool_schedule": set(),
    "do_schedule": {"clock", "lazy", "schedule_form", "schedule_told", "tools"},
    "schedule_told": {"clock", "lazy", "tools", "tz", "wording"},
    "rule_form": {"tools"},
    "tool_rule": set(),
    "do_rule": {"lazy", "rule_form", "rule_told", "tools"},
    "rule_told": {"lazy", "wording"},
    "routine": {"guard", "lazy", "tools"},
    "routine_form": {"routine"},
    "routine_flow": {"routine", "tools"},
    "routine_pins": {"routine"},
    "job": {"tools"},
    "question": {"talk"},
    "runner": {"job", "lazy", "question", "starter", "store", "tools"},
    "starter": {"job", "runner", "store", "tools"},
    "dryrun": {"tools"},
    "routines": {"lazy", "runner", "starter", "tools"},
    "tool_routine": {"lazy", "routine", "routines", "tools"},
    "tool_teach": set(),
    "do_teach": {"dryrun", "job", "lazy", "routine", "routines", "tools"},
    "log": set(),
    "halt": set(),
    "edit": set(),
    "command": {"command_help", "lazy"},
    "command_help": set(),
    "command_lists": {"clock", "lazy", "log", "tz"},
    "command_reset": set(),
    "command_status": {"", "clock", "lazy", "log"},
    "command_wifi": set(),
    "console": {"command", "edit", "lazy"},
    "start": {
        "agent",
        "console",
        "guard",
        "guard_set",
        "inbox",
        "lazy",
        "link",
        "outbox",
        "points",
        "routines",
        "settings_trial",
        "store",
        "tools",
    },
    "board": {"halt", "lazy", "log", "start"},
}

# From the bottom up. A part imports itself and what stands above it here, and none beside it.
COMPANION_ORDER = [
    {"chart", "wire", "zones"},
    {"wire_out"},
    {"link", "meter", "context", "toolset"},
    {"config"},
    {"store"},
    {"backends", "ops"},
    {"fleet", "router"},
    {"accept", "asked"},
    {"turn", "dispatch"},
    {"update"},
    {"settings"},
    {"web"},
    {"app"},
]
# What docs/companion.md calls pure: they decide, others read and write.
PURE = {
    "meter": {"money", "purse", "calendar", "budget", "whatif"},
    "backends": {"prompt", "completion", "stream", "fit", "anthropic_shape", "llama_shape"},
    "router": {"decide", "breaker", "latency", "rules", "explain", "others", "sizes"},
    "store": {"account", "row"},
}
EFFECTS = {"aiohttp", "asyncio", "httpx2", "os", "random", "socket", "sqlalchemy", "sqlite3"}
EFFECTS |= {"subprocess", "threading"}


def firmware_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {a.name for a in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy.load":
            name = node.args[0]
            # Otherwise it is a tool family, which `tools` knows only by name.
            found |= {name.value} if isinstance(name, ast.Constant) else set()
    return {"" if name == "VERSION" else name for name in found}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "firmware/ganglion").glob("*.py")), ids=lambda p: p.stem
)
def test_firmware(path: Path) -> None:
    assert path.stem in FIRMWARE, f"say in this test what {path.stem} may import"
    assert firmware_imports(path) <= FIRMWARE[path.stem]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "firmware/ganglion").glob("*.py")), ids=lambda p: p.stem
)
def test_only_the_guard_touches_pins(path: Path) -> None:
    names = {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "machine"
        for alias in node.names
    }
    # The drivers are the guard's: it alone loads them (`device`).
    own = path.stem == "guard" or path.stem.startswith("hw_")
    assert own or not names & {"Pin", "PWM", "ADC", "I2C", "SoftI2C", "Signal", "bitstream"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "firmware/ganglion").glob("*.py")), ids=lambda p: p.stem
)
def test_hardware_is_reached_through_the_guard(path: Path) -> None:
    """Nobody else loads a driver, and no other module takes pins or timers from `machine`."""
    if path.stem == "guard":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "machine":
            own = path.stem.startswith("hw_")
            assert own or node.attr not in {"Pin", "PWM", "ADC", "I2C", "SoftI2C", "Timer"}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "lazy.load":
            assert "hw_" not in ast.unparse(node.args[0])
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [node.module or "", *(alias.name for alias in node.names)]
            assert not any(name.startswith("hw_") for name in names)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "firmware/ganglion").glob("*.py")), ids=lambda p: p.stem
)
def test_private_names_stay_in_their_module(path: Path) -> None:
    """The build shortens them for each module apart (tools/mangle.py)."""
    tree = ast.parse(path.read_text())
    used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    foreign = {n for n in used if n[0] == "_" and n[:2] != "__"} - private_names(tree)
    assert foreign <= {"_io_queue"}, f"{path.name} reaches into another module: {foreign}"


def companion_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "companion":
                found |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
            assert parts[0] not in ("tools", "tests"), f"{path.name} imports {node.module}"
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "companion").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_companion(path: Path) -> None:
    part = path.relative_to(ROOT / "companion").parts[0].removesuffix(".py")
    if part == "__init__":
        return
    level = [n for n, parts in enumerate(COMPANION_ORDER) if part in parts]
    assert level, f"say in this test where {part} stands"
    allowed = set().union(*COMPANION_ORDER[: level[0]]) | {part}
    assert companion_imports(path) - {"__init__"} <= allowed, path


@pytest.mark.parametrize(
    "module", [f"{part}/{name}" for part, names in PURE.items() for name in sorted(names)]
)
def test_what_is_pure_can_do_nothing_else(module: str) -> None:
    found = set()
    for node in ast.walk(ast.parse((ROOT / "companion" / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    assert not found & EFFECTS
