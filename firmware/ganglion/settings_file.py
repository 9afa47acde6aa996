"""`/config.json` as whole: read, and written at one instant."""

import json
import os

_CONFIG = "/config.json"


def read():
    with open(_CONFIG) as f:
        return json.load(f)


def write(config):
    """The old ones stand until the rename. Raises OSError."""
    with open(_CONFIG + ".new", "w") as f:
        json.dump(config, f)
    os.rename(_CONFIG + ".new", _CONFIG)
