"""What a schedule or a rule runs, in a person's words. Loaded for a use."""

_LEVELS = {0: "turn %s off", 1: "turn %s on", "toggle": "toggle %s"}


def words(do):
    """`["gpio_write", {"pin": 5, "value": 1}]` is "turn pin 5 on"."""
    tool, args = do
    pin = args.get("pin")
    if isinstance(pin, int):
        pin = "pin %d" % pin
    if tool == "gpio_write":
        return _LEVELS[args["value"]] % pin
    if tool == "gpio_pulse":
        return "pulse " + pin
    if tool == "routine_run":
        return "run " + args["name"]
    return "run " + tool + (" on " + pin if pin else "")
